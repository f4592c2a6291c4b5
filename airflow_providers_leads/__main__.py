"""``python -m airflow_providers_leads``: the commands of ``airflow leads``."""

from __future__ import annotations

import sys

from airflow_providers_leads.cli.definition import main

if __name__ == "__main__":
    sys.exit(main())
