"""TaskFlow decorators; registered with Airflow as ``@task.leads_filter`` and ``@task.leads_map``."""
