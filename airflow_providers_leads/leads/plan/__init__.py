"""What golden records mean for one CRM, decided before anything is written."""

from airflow_providers_leads.leads.plan.planning import MODES, PlanRules, check_mode, iter_plan

__all__ = ["MODES", "PlanRules", "check_mode", "iter_plan"]
