"""Commands for people at a terminal: ``airflow leads …`` and ``python -m airflow_providers_leads …``."""
