# The commands of the project. `make help` lists them.
# Python 3.11+, git, node with npm are enough; everything else is installed here, in .venv and node_modules.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STEP := scripts/step

.DEFAULT_GOAL := help
.PHONY: help up demo test soak check bench lock clean

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

up: setup ## run everything on this machine; PORT=, ENGINE=auto|docker|process, STATE=
	@exec $(BIN)/opencode-gateway up

demo: setup ## the same with a scripted model, a demo user and a session to try
	@exec $(BIN)/python -m demo

test: setup-tests ## every test, with a real Docker Engine where one can be had; ARGS= for pytest
	@scripts/with-engine scripts/test $(ARGS)

soak: setup-tests ## ten minutes of use and kills at random, after which nothing is left over; SOAK_S=, SOAK_SEED=
	@SOAK_S=$${SOAK_S:-600} scripts/with-engine scripts/test tests/acceptance/test_soak.py -s

check: setup ## format, lint and types
	@$(BIN)/ruff format --check . scripts/with-engine
	@$(BIN)/ruff check . scripts/with-engine
	@$(BIN)/mypy
	@$(BIN)/python scripts/state_table.py --check
	@$(BIN)/python scripts/wire_behaviours.py --check

bench: setup .venv/bench-programs ## the benchmarks; writes benchmarks/results.json
	@scripts/with-engine $(BIN)/python -m benchmarks $(ARGS)

lock: ## choose new versions within the limits of pyproject.toml and package.json
	@scripts/lock

clean: ## remove what was installed and built here; .state stays
	rm -rf .venv node_modules benchmarks/node_modules artifacts .mypy_cache .ruff_cache .hypothesis

.PHONY: setup setup-tests
setup: .venv/installed node_modules/installed
setup-tests: setup .venv/test-programs

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; this is " + sys.version) if sys.version_info < (3, 11) else None'
	@$(STEP) "Installing Python packages into .venv" scripts/install-python $(PYTHON)
	@touch $@

node_modules/installed: package.json package-lock.json .npmrc
	@command -v npm >/dev/null || { echo "npm is missing: install node with npm, OpenCode comes by it." >&2; exit 1; }
	@$(STEP) "Installing OpenCode" npm ci
	@touch $@

# A browser and a terminal for the tests that use one; elsewhere than on Debian as root they are the
# machine's own, or those tests are skipped with the reason.
.venv/test-programs: .venv/installed scripts/test-programs
	@$(STEP) "Looking for the tests' programs" scripts/test-programs
	@touch $@

# What the gateway is measured against; where it can't be installed, the table has no row for it.
.venv/bench-programs: .venv/installed scripts/bench-programs benchmarks/package-lock.json
	@$(STEP) "Looking for the benchmarks' programs" scripts/bench-programs
	@touch $@
