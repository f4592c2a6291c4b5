"""Operators: one per hook method, and the pipeline in :mod:`airflow_providers_leads.operators.leads`."""
