"""The domain: what a lead is, who is the same person, what survives, what is to be written. No Airflow, no HTTP."""
