"""What a worker runs for the operators; imported when a task runs, never when a DAG is parsed."""
