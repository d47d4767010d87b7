# Two targets do all the set-up on a fresh machine with Python 3.11 and make:
#   make demo    install into .venv and run the demo
#   make test    install what the tests need and run them
PYTHON ?= python3.11
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input

.PHONY: help demo test test-all lint format bench dashboards docs wheel clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@# Without Debian's venv package it fails half made, and the next make would take it for done.
	@$(PYTHON) -m venv $(VENV) || { rm -f $@; echo "install python3-venv (Debian), or name another Python: make PYTHON=python3"; exit 1; } >&2

# A stamp per lock file, so that `make demo` does not download the test tools.
$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/runtime.txt -r requirements/build.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.runtime ## install and run the demo: needs no account
	$(BIN)/zohovoice-exporter demo $(ARGS)

# Files side by side, one for each core; in the order of their names, which begins with the slow ones of tests/real.
SIDE_BY_SIDE := --numprocesses=auto --maxprocesses=8 --dist=loadfile --no-loadscope-reorder

test: $(VENV)/.dev ## run the tests; set FORBID_SKIPS=1 to fail where one is skipped
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

test-all: $(VENV)/.dev ## run the tests with far more random cases
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) --hypothesis-profile=thorough $(ARGS)

lint: $(VENV)/.dev ## ruff (style and format) and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# DuckDB attached to SQLite races too, in a version of its own.
$(VENV)/race: requirements/race.txt $(VENV)/.dev
	$(PIP) install --require-hashes --upgrade --target $@ -r requirements/race.txt
	@touch $@

bench: $(VENV)/race ## print what things cost, as ratios taken side by side
	$(BIN)/python -m tests.benchmarks --duckdb $(VENV)/race $(ARGS)

dashboards: $(VENV)/.dev ## write grafana/dashboards/*.json anew from their source
	$(BIN)/python -m grafana.build

docs: $(VENV)/.dev ## write the generated parts of the documentation anew
	$(BIN)/python -m tests.support.reference

wheel: $(VENV)/.dev ## build the wheel into dist/
	$(BIN)/python -m build --no-isolation --wheel --outdir dist .

clean: ## remove everything that make made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
