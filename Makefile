# One command per intent; `make help` lists them. Everything is installed below this folder: .tools (uv), .venv.
UV_VERSION := 0.13.8
PYTHON     ?= python3.11
UV         := .tools/bin/uv
RUN        := $(UV) run --frozen --all-extras
ARGS       ?=

.DEFAULT_GOAL := help
.PHONY: help install servers run test unit check format bench clean

help:            ## what there is
	@grep -hE '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

$(UV):
	@$(PYTHON) -m venv .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

install: $(UV)   ## the locked environment, with every extra
	@$(UV) sync --frozen --all-extras --quiet

servers:         ## the real servers that tests use: none are needed yet
	@echo "servers: the embedded default needs none"

run: install     ## the demo: the whole loop in one process (ARGS=--exit ends by itself)
	@$(RUN) driftgate demo $(ARGS)

test: install    ## all tests
	@$(RUN) pytest $(ARGS)

unit: install    ## the tests that take no server and no simulation
	@$(RUN) pytest tests/detectors tests/service tests/architecture $(ARGS)

check: install   ## format, lint, types, architecture
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) lint-imports

format: install  ## format and mend what ruff can
	@$(RUN) ruff format .
	@$(RUN) ruff check --fix .

bench: install   ## figures: speed and memory; with DRIFTGATE_DATA also delay and false alarms on real data
	@$(RUN) python -m benchmarks $(ARGS)

clean:           ## everything that make installed or tests left
	@rm -rf .tools .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
