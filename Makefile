# Two commands do everything: `make check` and `make test`. Each sets up what it needs first.
# `make check MODULE=02_patterns JOBS=1` runs one module, one notebook at a time.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The seed under which make test draws from the proofs, one for both of its runs, which print it; a random one by default.
SEED ?= $(shell $(PYTHON) -c 'import secrets; print(secrets.randbelow(2**31 - 1) + 1)')
DRAW = LABS_DRAW=$(DRAWN)
test: DRAWN := $(SEED)
# A project within this one would get a cache in its own folder, which the ledger's digests would meet.
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache

.PHONY: setup check test prove attacks lab doctor lint bench lock clean stop

setup: $(VENV)/.ready

# uv comes from a wheel, so a machine with Python and make needs nothing else.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11, 3.12 or 3.13 is needed; found " + sys.version.split()[0] + ". Set PYTHON=/path/to/python3.11 and run make again.")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --quiet --disable-pip-version-check install uv
	@echo "Installing the locked packages into $(VENV) ..."
# Compiled at once, which uv leaves out by default: where Python may not write (a sandbox, PYTHONDONTWRITEBYTECODE) each kernel would compile
# its imports anew, two seconds of CPU and more.
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirements requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/labs setup
	@touch $@

check: setup
	@$(BIN)/grader check $(MODULE) $(if $(JOBS),--jobs $(JOBS))

test: setup
	@$(BIN)/ruff check --quiet labs_lib datasets grader tests benchmarks
	@$(BIN)/ruff format --quiet --check labs_lib datasets grader tests benchmarks
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(DRAW) $(BIN)/python -m pytest tests -m "not alone and not proof" --numprocesses 2 --dist loadgroup --no-loadscope-reorder
	@$(DRAW) $(BIN)/python -m pytest tests -m "alone and not proof"

# make prove EXERCISE=2a proves one exercise, MODULE=02_patterns a module, SUITE=workspace a room's long tests, nothing all of it;
# make test says which are needed.
prove: setup
	@$(BIN)/grader prove $(MODULE) $(EXERCISE) $(SUITE)

# What takes too long for every run: the attacks that need Spark, whole modules through an instructor's commands.
attacks: setup
	@$(BIN)/python -m pytest tests -m "proof and not ledger"

lab: setup
	@$(BIN)/labs lab

doctor: setup
	@$(BIN)/labs doctor

stop: setup
	@$(BIN)/labs stop

bench: setup
	@$(BIN)/python -m benchmarks

lint: setup
	$(BIN)/ruff check labs_lib datasets grader tests benchmarks
	$(BIN)/ruff format --check labs_lib datasets grader tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

# Regenerates the lock from pyproject.toml (hash-pinned, every platform).
lock:
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra dev --extra cicd --no-emit-index-url --no-header --output-file requirements.lock pyproject.toml

clean: 
	-@test -x $(BIN)/labs && $(BIN)/labs stop
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache
