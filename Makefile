# Needs python3 (3.11 or later) and nothing else. Every target makes the environment if need be;
# once it is there, and until the lock file changes, nothing is installed and no network is used.
BIN := .venv/bin
SYNCED := .venv/synced
# On all processors; what Python says of its own helpers as they end is nobody's concern.
SQLFLUFF := PYTHONWARNINGS=ignore::UserWarning $(BIN)/sqlfluff lint --processes 0 --disable-progress-bar
# What only a run that restates has leaves blanks, and CTEs that nobody reads, where all is built anew.
ANEW_EXCEPT := AM04,LT02,LT09,LT14,ST03,ST06

.PHONY: help environment demo test lint bench dev

help:
	@echo "make demo    simulate a product, run everything on it, show the answers"
	@echo "make test    all tests"
	@echo "make lint    style, types, SQL"
	@echo "make bench   how fast, how small; QUICK=1: in three minutes"
	@echo "make dev     Dagster's pages on localhost"

environment:
	@cat uv.lock pyproject.toml | cmp -s - $(SYNCED) || $(MAKE) --no-print-directory sync

.PHONY: sync
sync:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "python3 is $$(python3 --version); 3.11 or later is needed"; exit 1; }
	test -x $(BIN)/python || python3 -m venv .venv
	test -x $(BIN)/uv || $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	UV_PYTHON_DOWNLOADS=never $(BIN)/uv sync --quiet --locked --inexact --compile-bytecode --python $(BIN)/python
	$(BIN)/python -m orchestration.project
	@cat uv.lock pyproject.toml > $(SYNCED)

demo: environment
	@$(BIN)/accountpulse demo

test: environment
	@$(BIN)/pytest

lint: environment
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(SQLFLUFF) dbt_project/models
	@LINTED_RUN=anew $(SQLFLUFF) --exclude-rules $(ANEW_EXCEPT) \
		$$(grep -lrE 'restat|was_delivered' --include='*.sql' dbt_project/models)

# QUICK=1: a million events only. FOLDER=…: keeps the raw data there, and uses it again.
bench: environment
	@test -d .venv/lib/python3*/site-packages/pandas || UV_PYTHON_DOWNLOADS=never \
		$(BIN)/uv sync --quiet --locked --inexact --compile-bytecode --group bench --python $(BIN)/python
ifdef QUICK
	@$(BIN)/python benchmarks/scale.py --quick $(if $(FOLDER),--folder $(FOLDER))
else
	@$(BIN)/python benchmarks/bench.py
	@$(BIN)/python benchmarks/history.py
	@$(BIN)/python benchmarks/signals.py 100000 365
	@$(BIN)/python benchmarks/scale.py $(if $(FOLDER),--folder $(FOLDER))
endif

dev: environment
	@home="$$($(BIN)/python -m orchestration.execution)" \
		&& DAGSTER_HOME="$$home" $(BIN)/dagster dev -h 127.0.0.1
