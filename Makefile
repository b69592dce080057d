PYTHON ?= python3
VENV := .venv
RUN_STAMP := $(VENV)/.run
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.bench
# Suites that hold in a process that gevent has patched as well as in a plain one
PATCHED := tests/brokers tests/test_hub.py
# Most of a test is waiting for another process: so many at once keep two cores busy
AT_ONCE ?= 3

.PHONY: run test check bench bench-logs conformance chaos jitter soak docs networks screenshots clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/'

run: $(RUN_STAMP) ## a server on http://127.0.0.1:8000 with the lab and the system feed
	@$(VENV)/bin/python -m pushapp.cli run

test: $(STAMP) ## the whole suite, then again under gevent what can be
	@scripts/test-tools
	scripts/once-more .pytest_cache $(VENV)/bin/python -m pytest -q -ra -n $(AT_ONCE) --dist worksteal
	scripts/once-more .pytest_cache/patched $(VENV)/bin/python -m gevent.monkey --module pytest -q -ra $(PATCHED)

check: $(STAMP) ## format, lint and types
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

networks: $(STAMP) ## every network of docs/networks.md with true times; its tables anew (20 minutes)
	@scripts/test-tools
	NETWORKS=full $(VENV)/bin/python -m pytest -q -s -o faulthandler_timeout=0 tests/networks

bench: $(STAMP) $(BENCH_STAMP) ## memory, CPU and delays beside other servers: docs/benchmarks.md anew (15 minutes; BENCH="--quick")
	@scripts/bench-peers
	$(VENV)/bin/python bench/bench.py --docs docs/benchmarks.md $(BENCH)

bench-logs: $(STAMP) $(BENCH_STAMP) ## SQLite beside Valkey: docs/benchmarks-logs.md anew (6 minutes)
	@scripts/bench-peers
	$(VENV)/bin/python bench/bench.py --only logs --docs docs/benchmarks-logs.md $(BENCH)

conformance: $(STAMP) ## all Autobahn cases against our WebSocket, with a table (10 minutes; CONFORMANCE="--groups 1,9")
	$(VENV)/bin/python -m tests.conformance $(CONFORMANCE)

screenshots: $(STAMP) ## docs/images/ anew, and how soon the lab is painted on a slow network
	@scripts/test-tools
	@scripts/screenshots

chaos: $(STAMP) ## the ledger: 1,000,000 deliveries, 200 faults, each kind of log; CHAOS="--broker redis --seed 7 --faults 40 --messages 5000"
	@scripts/test-tools
	$(VENV)/bin/python -m tests.chaos $(CHAOS)

jitter: $(STAMP) ## 5,000 clients that are cut off every 15 s, then a rolling restart under 5,000; JITTER="jitter --clients 500"
	$(VENV)/bin/python -m tests.chaos.storms $(JITTER)

soak: $(STAMP) ## 20 minutes of coming and going: memory, fds and greenlets; SOAK="--minutes 60"
	$(VENV)/bin/python -m tests.chaos.soak $(SOAK)

docs: $(STAMP) ## docs/ as a site, in build/docs/index.html
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet --strict

clean: ## remove what was made, but not var/
	rm -rf $(VENV) build dist *.egg-info bench/build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(RUN_STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "pushapp needs Python 3.11 or newer; make PYTHON=/path/to/it" >&2; exit 1; }
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "python3 -m venv does not work here; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r requirements.txt
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $@

$(STAMP): requirements-dev.txt $(RUN_STAMP)
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	@touch $@

$(BENCH_STAMP): requirements-bench.txt $(STAMP)
	$(VENV)/bin/python -m pip install -q --disable-pip-version-check -r requirements-bench.txt
	@touch $@
