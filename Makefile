# Every command is idempotent: a stamp in the environment is rebuilt when pyproject or the pins change.
PYTHON ?= python3
PYTEST ?= -q
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Processes that tests start would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help demo test test-fast check bench test-verl test-clients schema reference lock clean

PIP = -m pip --disable-pip-version-check -qq install
BENCHMARKS = advantages structure audit imports viewer train_step teacher processes
CLIENTS = mini-swe-agent inspect-ai litellm[proxy]
STEPS = generate long dead trees
EACH_CORE = -n auto --dist loadfile --no-loadscope-reorder
FAST = -m 'not slow and not verl and not clients and not chromium and not shared_data'
VERL_TESTS = $(shell grep -rlE --include='test_*.py' 'mark\.verl' tests)

# An environment knows its folder by name; one that was copied or moved would run another checkout.
ifneq ($(wildcard .venv/folder),)
ifneq ($(shell cat .venv/folder),$(CURDIR))
$(shell rm -rf .venv .venv-verl .venv-clients)
endif
endif

help:
	@echo 'make demo       audit a recorded set, train two recipes, measure them, name the report to open'
	@echo 'make test       run the tests'
	@echo 'make test-fast  those that take no training, no browser and no subprocess loops: two minutes'
	@echo 'make check      lint, format, types and tests: what CI runs'
	@echo 'make bench      measure against the budgets'
	@echo 'make test-verl  tests against verl, in an environment of its own'
	@echo 'make test-clients  whole runs of mini-swe-agent and inspect-ai through the gateway'
	@echo 'make schema     regenerate the JSON schema of the records'
	@echo 'make reference  write the API reference from the docstrings'
	@echo 'make clean      remove environments and caches'

demo: .venv/train
	@.venv/bin/assay demo

test: .venv/dev
	@echo '== tests'
	@.venv/bin/python -m pytest $(PYTEST) $(EACH_CORE) -m 'not verl and not clients'

test-fast: .venv/dev
	@echo '== tests, the slow ones left out'
	@.venv/bin/python -m pytest $(PYTEST) $(EACH_CORE) $(FAST)

check: .venv/dev
	@echo '== lint'
	@.venv/bin/ruff check
	@echo '== format'
	@.venv/bin/ruff format --check
	@echo '== types'
	@.venv/bin/pyright --pythonpath .venv/bin/python
	@$(MAKE) --no-print-directory test

bench: .venv/dev .venv-verl/verl
	@broken=0; for each in $(BENCHMARKS); do echo "== $$each"; \
	.venv/bin/python benchmarks/$$each.py || broken=1; done; \
	for how in $(STEPS); do echo "== train_step --$$how"; \
	.venv/bin/python benchmarks/train_step.py --$$how || broken=1; done; \
	echo '== advantages against verl'; \
	.venv-verl/bin/python benchmarks/advantages.py --verl || broken=1; exit $$broken

test-verl: .venv-verl/verl
	@echo '== tests against verl'
	@if [ -z '$(VERL_TESTS)' ]; then echo 'no test is marked verl'; \
	else .venv-verl/bin/python -m pytest $(PYTEST) -p no:asyncio -m verl $(VERL_TESTS); fi

# The clients know nothing of Assay: the gateway and the tests run in its own environment.
test-clients: .venv/dev .venv-clients/clients
	@echo '== tests with clients of other people'
	@.venv/bin/python -m pytest $(PYTEST) tests/clients

schema: .venv/core
	@.venv/bin/python -m assay.records.schema

reference: .venv/dev
	@.venv/bin/python tools/reference.py

lock: .venv/dev .venv-verl/verl .venv-clients/clients
	@.venv/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	@.venv-verl/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints-verl.txt
	@.venv-clients/bin/python -m pip freeze > constraints-clients.txt

clean:
	@rm -rf .venv .venv-verl .venv-clients build .pytest_cache .ruff_cache .hypothesis
	@find src tests benchmarks tools claims -name __pycache__ -prune -exec rm -rf {} +

.venv/bin/python .venv-verl/bin/python .venv-clients/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo 'Assay needs Python 3.11 or newer; say which with PYTHON=python3.12' >&2; exit 2; }
	@echo '== $(@:/bin/python=)'
	@$(PYTHON) -m venv '$(@:/bin/python=)'
	@pwd > '$(@:/bin/python=)/folder'

.venv/core: .venv/bin/python pyproject.toml constraints.txt
	@echo '== install assay'
	@.venv/bin/python $(PIP) -c constraints.txt -e .
	@touch $@

.venv/train: .venv/bin/python pyproject.toml constraints.txt
	@echo '== install assay[train] (a minute or two, up to ten on a slow machine)'
	@.venv/bin/python $(PIP) -c constraints.txt -e '.[train]'
	@touch $@ .venv/core

.venv/dev: .venv/bin/python pyproject.toml constraints.txt
	@echo '== install assay[train,parquet,dev] (a minute or two, up to ten on a slow machine)'
	@.venv/bin/python $(PIP) -c constraints.txt -e '.[train,parquet,dev]'
	@touch $@ .venv/core .venv/train

.venv-verl/verl: .venv-verl/bin/python pyproject.toml constraints-verl.txt
	@echo '== install assay[verl,test] (some minutes, up to fifteen on a slow machine)'
	@.venv-verl/bin/python $(PIP) -c constraints-verl.txt -e '.[verl,test]'
	@touch $@

.venv-clients/clients: .venv-clients/bin/python Makefile constraints-clients.txt
	@echo '== install $(CLIENTS) (a minute or two)'
	@.venv-clients/bin/python $(PIP) -c constraints-clients.txt $(CLIENTS)
	@touch $@
