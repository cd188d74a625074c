# `make demo` and `make test` need python3 (3.11 or newer, with venv) and nothing else.
# ARGS is passed on: make demo ARGS='--json --port 8080', make test ARGS='-k closing'.
# N and SEED are chaos's own: make chaos N=300 SEED=7 (a new seed without one).

PYTHON ?= python3
BIN := .venv/bin
# stdout belongs to the programs: `make demo ARGS=--json` prints its one line there.
PIP := >&2 $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := daemon bybit store http tests
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-header

.PHONY: help demo test thorough chaos lint bench long readme dashboard lock clean
.DEFAULT_GOAL := help

# Hundreds of processes start in a run: each finds the modules compiled, whatever the shell says.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest

help:
	@echo 'make demo       the whole thing on this machine, nothing to configure'
	@echo 'make test       the tests that take minutes at most'
	@echo 'make thorough   those that wait or compute for longer'
	@echo 'make chaos      closes under faults, kills and hand trades (N=50 SEED=…)'
	@echo 'make lint       ruff, formatting'
	@echo 'make bench      measurements'
	@echo 'make long       soaks and long fuzzing'
	@echo 'make readme     rewrite the parts of the README that are made from the code'
	@echo 'make dashboard  rebuild static/dist (needs node and npm)'
	@echo 'make lock       compile the lock files again (needs a package index)'

demo: .venv/runtime.stamp
	@exec $(BIN)/positiond demo $(ARGS)

test: .venv/dev.stamp
	@$(if $(CHROMIUM),:,echo 'Chromium is not installed: the browser tests are skipped.')
	@exec $(PYTEST) -n 4 --dist worksteal $(ARGS)

thorough: .venv/dev.stamp
	@exec $(PYTEST) -n 4 --dist worksteal -m thorough $(ARGS)

chaos: .venv/dev.stamp
	@exec $(BIN)/python -m tests.chaos $(N) $(if $(SEED),--seed $(SEED)) $(ARGS)

lint: .venv/dev.stamp
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

bench: .venv/dev.stamp
	@exec $(BIN)/python -m tests.bench $(ARGS)

long: .venv/dev.stamp
	@exec $(PYTEST) -m long $(ARGS)

readme: .venv/dev.stamp
	@exec $(BIN)/python -m tests.readme

dashboard:
	cd static && npm ci --no-audit --no-fund && npm run check && npm test && npm run build && npm run size

lock: .venv/dev.stamp
	$(COMPILE) pyproject.toml requirements.in --output-file requirements.lock
	$(COMPILE) pyproject.toml requirements.in requirements-dev.in --output-file requirements-dev.lock

clean:
	rm -rf .venv build

# The stamps make a second start quick and independent of the network. The project itself is
# installed in place, so editing its sources needs no new install; new metadata does.
.venv/bin/python:
	@$(PYTHON) -m venv .venv >&2

.venv/runtime.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@test -e .venv/dev.stamp || echo 'installing what the daemon needs into .venv ...' >&2
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/runtime.stamp
	@echo 'installing what the tests need into .venv ...' >&2
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@
