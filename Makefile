# `make run` and `make test` need python3 (3.11 or later) with its venv module, and the network once.

PYTHON ?= python3
VENV ?= .venv
BIND ?= 127.0.0.1:8000
SCALE ?= default
SOAK ?= 20
ARGS ?=

EXAMPLE := examples/eventseer
MANAGE := cd $(EXAMPLE) && $(abspath $(VENV))/bin/python manage.py
# Beyond this machine, any name may be the right one.
HOSTS := $(if $(filter 127.% localhost:% [::1]:%,$(BIND:http://%=%)),,EVENTSEER_HOSTS='*')

# $(call step,what is done and how long it takes,command): its output is shown only when it fails.
define step
@printf '%s … ' '$(1)'; began=$$(date +%s); \
if said=$$({ $(2); } 2>&1); then echo "$$(($$(date +%s) - began)) s"; else echo failed; printf '%s\n' "$$said" >&2; exit 1; fi
endef

.DEFAULT_GOAL := help

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
.PHONY: help

run: $(VENV)/.example ## The example site behind Uncork (BIND=127.0.0.1:8000 SCALE=default, or small, or full)
	$(call step,Making the tables (about 2 s),$(MANAGE) migrate --verbosity 0)
	@mkdir -p -m 700 $(EXAMPLE)/.uncork
	@echo 'Filling in the data, scale $(SCALE) (small 3 s, default 15 s, full some minutes; once)'
	@$(MANAGE) seed --scale $(SCALE)
	$(call step,Collecting the static files (about 2 s),$(MANAGE) collectstatic --noinput --verbosity 0)
	@$(MANAGE) tour --bind '$(BIND)' --from '$(CURDIR)'
	@echo 'Starting Uncork and the site (about 2 s; Ctrl-C stops both)'
	@cd $(EXAMPLE) && $(HOSTS) exec '$(abspath $(VENV))/bin/uncork' serve --bind '$(BIND)'
.PHONY: run

test: ## Everything that must hold: style, types, contracts, then the tests (ARGS='tests/wire -x' for some of them)
	@echo 'Tests: once an installation (about 30 s), then linters (15 s) and pytest (12 min on two cores)'
	@$(MAKE) --no-print-directory lint
	@'$(VENV)/bin/python' -m pytest $(ARGS)
.PHONY: test

lint: $(VENV)/.tests ## Style, types and import contracts, without the tests
	$(call step,Style: ruff (about 1 s),'$(VENV)/bin/ruff' check && '$(VENV)/bin/ruff' format --check)
	$(call step,Types: mypy (about 10 s; 1 s when little has changed),'$(VENV)/bin/mypy')
	$(call step,Who may import whom: import-linter (about 1 s),'$(VENV)/bin/lint-imports')
.PHONY: lint

bench: $(VENV)/.bench ## Uncork beside nginx, lighttpd, Varnish and others, into docs/benchmarks.md (ARGS=--quick for a part)
	@echo 'Benchmark: an hour for all of it, 2 min with ARGS=--quick; the machine should do nothing else'
	@'$(VENV)/bin/python' -m bench.run $(ARGS)
.PHONY: bench

soak: $(VENV)/.tests ## The tests of the invariants, SOAK times as long (20: about half an hour)
	UNCORK_SOAK=$(SOAK) '$(VENV)/bin/python' -m pytest tests/invariants $(ARGS)
.PHONY: soak

docs: $(VENV)/.tests ## Write anew the pages of docs/ that are made from the source
	@'$(VENV)/bin/python' docs/_generate.py
.PHONY: docs

clean: ## Remove the example's data, and what builds and tests leave (the virtual environment stays)
	rm -rf $(EXAMPLE)/db.sqlite3* $(EXAMPLE)/media $(EXAMPLE)/staticfiles $(EXAMPLE)/.uncork build dist
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests bench examples -name __pycache__ -prune -exec rm -rf {} +
.PHONY: clean

# bin/pip comes last when an environment is made: one that was begun and not finished is made anew.
$(VENV)/bin/pip:
	@command -v '$(PYTHON)' > /dev/null || { echo 'There is no $(PYTHON) here. Uncork needs Python 3.11 or later; say which: make run PYTHON=python3.12' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Uncork needs Python 3.11 or later, and $(PYTHON) is $$($(PYTHON) --version). Say another: make run PYTHON=python3.12" >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2> /dev/null || { echo '$(PYTHON) has no venv module. Debian and Ubuntu have it in a package of its own: apt install python3-venv' >&2; exit 1; }
	$(call step,Making a virtual environment in $(VENV) (about 5 s),'$(PYTHON)' -m venv '$(VENV)')

$(VENV)/.example: pyproject.toml $(EXAMPLE)/requirements.txt | $(VENV)/bin/pip
	$(call step,Installing Uncork and Django into $(VENV) (about 20 s),'$(VENV)/bin/pip' install --disable-pip-version-check --quiet --editable . --requirement $(EXAMPLE)/requirements.txt)
	@touch $@

# --group needs pip 25.1; CPython 3.11 brings an older one.
$(VENV)/.tests: pyproject.toml | $(VENV)/bin/pip
	$(call step,Installing Uncork and what its tests need into $(VENV) (about 30 s),'$(VENV)/bin/python' -m pip install --disable-pip-version-check --quiet 'pip>=25.1' && '$(VENV)/bin/python' -m pip install --disable-pip-version-check --quiet --editable . --group test)
	@touch $@

$(VENV)/.bench: pyproject.toml bench/requirements.txt | $(VENV)/bin/pip
	$(call step,Installing Uncork and the contenders from PyPI into $(VENV) (about 20 s),'$(VENV)/bin/pip' install --disable-pip-version-check --quiet --editable . --requirement bench/requirements.txt)
	@touch $@
