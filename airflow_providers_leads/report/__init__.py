"""Reports: what a run's files tell, as one HTML file that needs nothing else. No Airflow, no network."""
