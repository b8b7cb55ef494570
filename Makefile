# `make help` lists what there is. Everything is installed into one virtual environment, .venv; nothing needs root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help up down status test test-torch check lint bench docs constraints clean

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/becoming-one
# torch is 5.8 GB: its environment lies in a cache folder and is made anew only when the pins change
TORCH := $(CACHE)/torch-$(shell cat constraints.txt pyproject.toml | sha256sum | cut -c1-12)
# Two workers: half of a run is waiting for Ray to start. Those with clusters begin.
SIDE_BY_SIDE := -n 2 --dist loadscope --no-loadscope-reorder
INSTALL = $(BIN)/uv pip install --quiet --constraints constraints.txt

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

up: $(VENV)/.base ## environment, weights, Valkey, PostgreSQL, Ray and the applications on this machine
	@$(BIN)/becoming-one up

down: ## stop them all; data stays in .becoming-one/
	@test ! -x $(BIN)/becoming-one || $(BIN)/becoming-one down

status: ## what runs, where, and how much memory it takes
	@$(BIN)/becoming-one status

test: $(VENV)/.dev ## everything the tests need, then the tests (no torch)
	$(BIN)/pytest -m "not torch" $(SIDE_BY_SIDE)

test-torch: $(TORCH)/.done ## the tests of the extra `torch`, in an environment of their own
	$(TORCH)/bin/pytest -m torch

check: lint ## format, lint, types, import contracts, unit tests: about a minute
	$(BIN)/pytest -q $(SIDE_BY_SIDE) tests/unit

lint: $(VENV)/.dev ## the same without the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(VENV)/.dev ## print the tables of benchmarks/ and write them to docs/benchmarks.md
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev ## write the generated pages: docs/configuration.md, docs/cli.md, docs/http-api.md
	$(BIN)/python docs/generate.py

constraints: $(VENV)/.base ## pin anew what pyproject.toml allows; then run the tests
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --upgrade \
		--extra torch --extra notebooks --extra dev --constraint constraints.in \
		--output-file constraints.txt pyproject.toml

clean: down ## remove the environment and what tools cached here; data, weights and keys stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.git/*' -exec rm -rf {} +

$(VENV)/.uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@touch $@

$(VENV)/.base: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "installing the environment (about 1.5 GB, a minute on a good line)"
	@$(INSTALL) --python $(BIN)/python --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.base
	@$(INSTALL) --python $(BIN)/python --editable '.[dev]'
	@touch $@

$(TORCH)/.done: $(VENV)/.uv pyproject.toml constraints.txt
	@echo "installing the torch environment (about 6 GB, two minutes on a good line)"
	@find $(CACHE) -maxdepth 1 -name 'torch-*' -not -path $(TORCH) -exec rm -rf {} + 2>/dev/null || true
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(TORCH)
	@$(INSTALL) --python $(TORCH)/bin/python --editable '.[dev,torch]'
	@touch $@
