# Each target prepares .venv when pyproject.toml is newer than it, and runs from a clean checkout.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
RUN := $(VENV)/bin/python -m
READY := $(VENV)/.ready
PYTEST := $(RUN) pytest -q -n $(WORKERS)

.PHONY: help demo test lint format coverage bench peers fuzz mutants clean
.DEFAULT_GOAL := help

help:      ## this list
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: [^#]*## */\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"tdsl needs Python 3.11 or newer; $(PYTHON) is {v[0]}.{v[1]} (make PYTHON=...)")'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(RUN) pip install --quiet --disable-pip-version-check -e '.[all,dev]'
	@touch $@

demo: $(READY)   ## a tour: schedule, prove, build, run, compare
	@$(VENV)/bin/python tutorials/demo.py

test: $(READY)   ## unit, property, golden and doc tests
	@$(PYTEST)

lint: $(READY)   ## ruff, mypy --strict, who-may-import-whom
	@$(RUN) ruff check --quiet .
	@$(RUN) ruff format --quiet --check .
	@$(RUN) mypy
	@$(VENV)/bin/lint-imports --no-logo

format: $(READY)   ## ruff format, and the fixes ruff is sure of
	@$(RUN) ruff check --quiet --fix-only .
	@$(RUN) ruff format --quiet .

coverage: $(READY)   ## the tests with branch coverage
	@$(PYTEST) --cov --cov-report=term-missing:skip-covered

bench: $(READY)   ## side by side with the peers that are installed (ARGS="--rows gemm_1024 --threads 1")
	@$(RUN) benchmarks $(ARGS)

peers:     ## install the rivals for bench, outside the repository (PEERS_ROOT)
	@benchmarks/install_peers.sh

fuzz: $(READY)   ## long random runs: schedules, IR, arguments (ARGS="--schedules 500 --seed 2")
	@$(RUN) tests.fuzz --schedules 5000 --jobs $(WORKERS) $(ARGS)
	@$(PYTEST) -m fuzz
	@$(PYTEST) --hypothesis-profile=new

mutants: $(READY)   ## seeded faults in prover and passes: each must be found (ARGS="--count 200")
	@$(RUN) tests.mutants --jobs $(WORKERS) $(ARGS)

clean:     ## remove what the other targets made
	@rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
