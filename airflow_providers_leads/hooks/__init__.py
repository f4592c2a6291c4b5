"""One hook per CRM, one contract for all: see :class:`airflow_providers_leads.hooks.base.LeadsHook`."""
