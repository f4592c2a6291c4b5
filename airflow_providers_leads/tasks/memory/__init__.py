"""A sync's memory in the tasks of a run."""
