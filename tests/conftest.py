"""An Airflow of its own for the suite, set up before anything imports airflow."""

from __future__ import annotations

import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
_home = Path(tempfile.mkdtemp(prefix="leads-airflow-"))

os.environ |= {
    "AIRFLOW_HOME": str(_home),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_home}/airflow.db",
    # What other runs of the suite have spent is no business of this one.
    "AIRFLOW__LEADS__RATE_LIMIT_FOLDER": str(_home / "quota"),
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
}
for _name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
    # A developer's own connections must not be reachable from a test.
    del os.environ[_name]

# A gate judges a change, so it draws the same examples each time; `make test-random` looks for what they don't show.
# How long an example takes says more of the machine than of the code.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("random", print_blob=True, deadline=None)
settings.load_profile("same")

# What Airflow has since 3.3.
_NEWER = ("unit/test_retry_policy.py", "unit/triggers/test_shared_streams.py")
collect_ignore = [] if find_spec("airflow.triggers.shared_stream") else list(_NEWER)
