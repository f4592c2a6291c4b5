# Everything below makes its own virtual environment; Python 3.11 or newer and make are all it needs.
VENV := .venv
DEMO_READY := $(VENV)/.ready-demo
READY := $(VENV)/.ready
BIN := $(VENV)/bin
OLDEST := .venv-oldest
WHEEL := .wheel
CORE := -q -n 2 --dist loadfile -m "not browser and not spark" tests/unit/hooks tests/unit/operators tests/unit/plugins \
	tests/unit/sensors tests/unit/tasks tests/unit/triggers tests/dags/test_leads_sync.py tests/integration/test_every_operator.py
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo test coverage test-stories test-slow test-faults test-integration test-cluster test-cluster-cut test-memory test-matrix test-oldest test-wheel soak check docs pictures bench bench-merge bench-memory bench-files bench-wire bench-quiet bench-doors bench-smoke bench-machines bench-bucket bench-cluster format clean
help:                     ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(DEMO_READY)            ## sync three sandbox CRMs in real Airflow, twice, and show what happened
	@$(BIN)/python -m airflow_providers_leads.sandbox.demo

test: $(READY)            ## run the suite; what takes longer has targets of its own, below
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-stories: $(READY)    ## tell whole syncs from beginning to end: real Airflow, a browser, Spark, kills; some ten minutes
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "story and not slow and not faults and not memory"

test-integration: $(READY)  ## run example DAGs under a real scheduler and triggerer, some minutes
	$(BIN)/python -m pytest -m integration -q tests/cluster

test-cluster: $(READY)    ## sync on Celery workers that vanish, with PostgreSQL, Redis and a bucket of their own
	@$(INSTALL) -e '.[cluster]'
	$(BIN)/python -m pytest -m cluster -q tests/cluster

test-cluster-cut: $(READY)  ## of the same the shortest, some minutes: two workers, one of which vanishes while it writes
	@$(INSTALL) -e '.[cluster]'
	$(BIN)/python -m pytest -m cluster -q tests/cluster/test_two_workers.py

test-faults: $(READY)     ## meet a fault at every request of an upsert, in turn: an hour; fills in docs/reliability.md
	@rm -rf .faults
	FAULTS_OUTPUT=.faults $(BIN)/python -m pytest -m faults -q -n 2 --dist worksteal --show-capture=no
	@$(BIN)/python tests/integration/survival_report.py .faults

coverage: $(READY)        ## run the suite and tell which lines of the package it doesn't reach
	$(BIN)/python -m pytest -q -n 2 --dist loadfile --cov --cov-report=term

test-slow: $(READY)       ## what takes longest of the suite, and varies what `make test` runs; ten minutes
	$(BIN)/python -m pytest -m slow -q -n 2 --dist worksteal --hypothesis-profile random

test-random: $(READY)     ## run the properties of the suite on examples drawn anew, some minutes
	$(BIN)/python -m pytest -m "hypothesis and not slow and not memory and not story" -q -n 2 --dist worksteal --hypothesis-profile random

test-memory: $(READY)     ## let people work for months in the CRMs of a sync with a memory: half an hour; docs/reliability.md
	$(BIN)/python -m pytest -m memory -q -n 2 --dist worksteal --hypothesis-profile random --show-capture=no tests/unit/leads tests/integration

soak: $(READY)            ## sync for half an hour while two requests in a hundred go wrong; SOAK_SECONDS, SOAK_SEED
	SOAK_SECONDS=$${SOAK_SECONDS:-1800} $(BIN)/python -m pytest -m soak -q --show-capture=no tests/soak

test-wheel: $(READY)      ## build the wheel, install it into an empty environment, and do the quickstart there; every extra resolves; five minutes
	@rm -rf $(WHEEL)
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir $(WHEEL) .
	@$(PYTHON) -m venv $(WHEEL)/venv
	@$(WHEEL)/venv/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "$$(ls $(WHEEL)/*.whl)[sandbox]"
	LEADS_INSTALLED_BIN=$(WHEEL)/venv/bin $(BIN)/python -m pytest -q -m wheel tests/dags tests/integration/test_plain_install.py

test-oldest: $(OLDEST)/.ready  ## run the core of the suite on the oldest Airflow, some minutes
	$(OLDEST)/bin/python -m pytest $(CORE)

test-matrix: test-oldest $(READY)  ## run the core of the suite on the oldest and the newest Airflow, some ten minutes
	$(BIN)/python -m pytest $(CORE)

check: $(READY)           ## lint, formatting, types and documentation
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory docs

docs: $(READY)            ## make the documentation; a warning, a dead link within it or a search without results is an error
	$(BIN)/python -m sphinx -E -a -W -q -b html docs docs/_build/html
	@$(BIN)/python tests/docs/built_site.py docs/_build/html
	@echo "docs/_build/html/index.html"

bench-merge: $(READY)     ## time the merge of 10 million leads against DuckDB, pandas and Polars; options in BENCH
	@$(INSTALL) -e '.[bench]'
	@$(BIN)/python tests/benchmarks/bench_merge.py $(BENCH)

bench-memory: $(READY)    ## time the merge of 10 million leads with a memory and without; options in BENCH
	@$(BIN)/python tests/benchmarks/bench_memory.py --write docs/benchmarks.md $(BENCH)

bench-files: $(READY)     ## read a CSV and a SQL query of a million leads beside bare DuckDB and a bare cursor; options in BENCH
	@$(BIN)/python tests/benchmarks/bench_files.py $(BENCH)

bench-wire: $(READY)      ## time reading and writing beside other clients, and see how quotas are kept; options in BENCH
	@$(BIN)/python tests/benchmarks/bench_wire.py $(BENCH)

bench-quiet: $(READY)     ## time each step of a sync in which nothing has changed, of 10,000 and 100,000 people; options in BENCH
	@$(BIN)/python tests/benchmarks/bench_quiet.py --write docs/benchmarks.md $(BENCH)

bench-doors: $(READY)     ## time a full read of 200,000 HubSpot contacts by the list, and by list and search; options in BENCH
	@$(BIN)/python tests/benchmarks/bench_doors.py --write docs/benchmarks.md $(BENCH)

bench-smoke: $(READY)     ## see in a minute or two whether something has become slow
	@$(BIN)/python tests/benchmarks/bench_smoke.py

bench: bench-merge bench-memory bench-files bench-wire bench-quiet bench-doors bench-machines  ## run all benchmarks, about an hour

bench-machines: $(READY)  ## see how machines share one key, with a Redis and without, two minutes; options in BENCH
	@$(BIN)/python tests/benchmarks/bench_machines.py $(BENCH)

pictures: $(READY)        ## take the pictures of pages in README and docs anew, some minutes
	@$(BIN)/python -m airflow_providers_leads.sandbox.demo > /dev/null
	@$(BIN)/python tests/pictures.py .demo
	LEADS_TAKE_PICTURES=1 $(BIN)/python -m pytest -q -m story tests/cluster/test_runs_in_browser.py -k browser_alone

bench-bucket: $(READY)    ## see what a sync's tasks read of a bucket and have in memory, half an hour; options in BENCH
	@$(BIN)/python tests/benchmarks/bench_bucket.py $(BENCH)

bench-cluster: $(READY)   ## sync 100,000 people on two Celery workers and a bucket; options in BENCH
	@$(INSTALL) -e '.[cluster]'
	@$(BIN)/python tests/benchmarks/bench_cluster.py --write docs/benchmarks.md $(BENCH)

format: $(READY)          ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:                    ## remove the virtual environment and what the demo left
	rm -rf $(VENV) $(OLDEST) $(WHEEL) .demo .artifacts docs/_build

$(DEMO_READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or run make with PYTHON=/path/to/python3"; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version); the first time this takes a minute or two."
	@$(PYTHON) -m venv $(VENV)
	@$(INSTALL) -e '.[sandbox]' || { echo "The installation failed; the lines above say why."; exit 1; }
	@touch $@

$(READY): $(DEMO_READY) tests/outside_crm/pyproject.toml
	@echo "Adding what the tests need to $(VENV)."
	@$(INSTALL) -e '.[dev]' || { echo "The installation failed; the lines above say why."; exit 1; }
	@$(INSTALL) --no-deps -e tests/outside_crm || { echo "The installation failed; the lines above say why."; exit 1; }
	@touch $@

$(OLDEST)/.ready: pyproject.toml tests/oldest_airflow.txt
	@echo "Setting up $(OLDEST) with the oldest Airflow; this takes some minutes."
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check -r tests/oldest_airflow.txt -e '.[sandbox]'
	@touch $@
