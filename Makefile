# Plain `make` prints this help. Everything a target needs is set up by the target itself.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
RUNS   ?= 200
BROKER ?= mock

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast simulate lint bench lock audit clean

help:  ## print this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(VENV)/.ready  ## create .venv from the locked versions

demo: $(VENV)/.ready  ## the main job on real parts, with a kill in the middle (RUNS=200 BROKER=mock|kafka)
	$(BIN)/relay demo --runs $(RUNS) --broker $(BROKER)

# Two processes, each with a PostgreSQL and a Kafka of its own: most of the time is spent waiting. A file stays whole, so
# that what it sets up is set up once.
test: lint  ## everything: linters, types, house rules, all tests on real services
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: $(VENV)/.ready  ## the tests that need no service
	$(BIN)/python -m pytest tests/core tests/style tests/model tests/simulation

simulate: $(VENV)/.ready  ## relays in a simulated world over all cores (SEEDS=1000), or one seed again (SEED=12345)
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000))

lint: $(VENV)/.ready  ## format check, lint, strict types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.ready  ## drain rate and writers' rate, with their baselines in the same run (EVENTS=500000)
	$(BIN)/relay bench drain --events $(or $(EVENTS),500000)
	$(BIN)/relay bench writers

# The image takes what the relay needs and no more; what builds it stays behind.
lock:  ## write requirements.lock, and the image's, anew (needs uv)
	uv export --quiet --no-emit-project --all-extras --all-groups --no-header --no-annotate -o requirements.lock
	uv export --quiet --no-emit-project --extra relay --no-default-groups --no-header --no-annotate -o deploy/requirements.lock
	uv export --quiet --only-group build --no-header --no-annotate -o deploy/build.lock
	rm -f uv.lock

# The auditor has an environment of its own, since it brings packages that we do not use.
audit: $(VENV)/.ready  ## ask whether a locked package is vulnerable or was yanked (needs the network)
	$(PYTHON) -m venv .cache/audit
	.cache/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	.cache/audit/bin/pip-audit --strict --disable-pip --require-hashes -r requirements.lock -r deploy/requirements.lock
	! $(BIN)/python -m pip install --dry-run --ignore-installed --disable-pip-version-check --require-hashes \
		-r requirements.lock 2>&1 | grep -i yanked

clean:  ## remove .venv and caches
	rm -rf $(VENV) .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
