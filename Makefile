# `make` lists what there is. Nothing but Python 3.11 or newer need be there before.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; \
	do "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	2>/dev/null && echo "$$python" && break; done)
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := tests/live/clients
TESTS ?= tests

# An installation is made again when what it is made from has changed.
VENV_MADE := $(VENV)/.made
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop
CLIENTS_READY := $(CLIENTS)/node_modules/.ready

# Installs Debian packages when that is possible, else says which are missing.
define debian_packages
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "Installing $(1) ..."; \
	log=$$(mktemp); export DEBIAN_FRONTEND=noninteractive; \
	{ apt-get install -y -qq --no-install-recommends $(1) || \
		{ apt-get update -qq && \
		  apt-get install -y -qq --no-install-recommends $(1); }; } \
		>"$$log" 2>&1 </dev/null || { cat "$$log" >&2; exit 1; }; \
	rm -f "$$log"; \
else \
	echo "Please install: $(1)   (on Debian: apt-get install $(1))" >&2; $(2); \
fi
endef

.PHONY: help
help:
	@echo 'nostrtx, a Nostr relay. The first two commands do all the set-up:'
	@echo
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{ printf "  make %-8s %s\n", $$1, $$2 }'

.PHONY: run
run: $(RUN_READY) ## Run a relay on ws://127.0.0.1:7447; CONFIG=FILE names settings
	@echo 'Clients connect to the address below - Control-C stops the relay.'
	@exec $(BIN)/twistd -n --pidfile= nostr-relay $(if $(CONFIG),--config '$(CONFIG)')

.PHONY: test
test: $(DEV_READY) tools ## Run all tests, unit and live, and print the coverage
	@$(BIN)/python -W error::RuntimeWarning -m coverage run -m twisted.trial $(TESTS)
	@$(BIN)/python -m coverage report --skip-covered --skip-empty

.PHONY: lint
lint: $(DEV_READY) ## Check style, types, layers and documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pydoctor --quiet --quiet

.PHONY: check
check: lint test ## Lint, then test

.PHONY: bench
bench: $(DEV_READY) ## Measure the relay; BENCH='--help' explains how
	@command -v gcc >/dev/null || { $(call debian_packages,gcc libc6-dev,exit 1); }
	@$(BIN)/python -m benchmarks.run $(BENCH)

.PHONY: clean
clean: ## Remove everything that was made, except events in ./data
	rm -rf $(VENV) $(CLIENTS)/node_modules _trial_temp* .coverage* apidocs build dist
	rm -rf .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	rm -rf benchmarks/nload benchmarks/corpora benchmarks/results
	find nostrtx tests twisted benchmarks -name __pycache__ -prune -exec rm -rf {} +
	rm -f twisted/plugins/dropin.cache

$(VENV_MADE):
	@[ -n '$(PYTHON)' ] || { echo 'Python 3.11 or newer is needed.' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		  $(call debian_packages,python$$version-venv,exit 1); }
	@echo 'Making a virtual environment in $(VENV) ...'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN_READY): $(VENV_MADE) pyproject.toml
	@echo 'Installing nostrtx ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(DEV_READY): $(VENV_MADE) pyproject.toml
	@echo 'Installing nostrtx and what its tests need ...'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,dev]'
	@touch $(RUN_READY) $@

# What live tests use besides Python. Without it they are skipped, and say so.
.PHONY: tools
tools:
	@missing=; \
	node -e 'process.exit(+(parseInt(process.versions.node) < 18))' 2>/dev/null || \
		missing+=' nodejs'; \
	command -v npm >/dev/null || missing+=' npm'; \
	command -v chromium >/dev/null || missing+=' chromium fonts-liberation'; \
	command -v redis-server >/dev/null || missing+=' redis-server'; \
	command -v haproxy >/dev/null || [ -x /usr/sbin/haproxy ] || missing+=' haproxy'; \
	command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || missing+=' nginx-light'; \
	[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || \
		missing+=' libnginx-mod-stream'; \
	command -v openssl >/dev/null || missing+=' openssl'; \
	command -v systemd-analyze >/dev/null || missing+=' systemd'; \
	command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || \
		missing+=' pgbouncer'; \
	ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || missing+=' postgresql'; \
	if [ -n "$$missing" ]; then $(call debian_packages,$$missing,true); fi
	@if command -v npm >/dev/null; then $(MAKE) $(CLIENTS_READY); fi

$(CLIENTS_READY): $(CLIENTS)/package-lock.json
	@echo 'Installing the JavaScript clients ...'
	@cd $(CLIENTS) && npm ci --no-audit --no-fund --loglevel=error </dev/null
	@touch $@
