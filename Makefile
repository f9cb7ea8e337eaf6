PYTHON ?= .venv/bin/python
BIN := $(dir $(PYTHON))
BENCH ?= --record

.PHONY: help setup check format lint types layers test slow nightly soak bench demo docs lock audit image

help: ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

setup: ## A virtual environment with everything a developer needs
	python3 -m venv .venv && .venv/bin/pip install -q -e '.[dev]'

check: lint types layers test ## What CI runs: format, lint, types, layers, tests

format: ## Format the code
	$(BIN)ruff format .
	$(BIN)ruff check --fix .

lint:
	$(BIN)ruff format --check .
	$(BIN)ruff check --output-format=concise .

types:
	$(BIN)mypy

layers:
	$(BIN)lint-imports

test: ## The tests that a change must pass
	$(BIN)pytest -n 5

slow: ## The tests that take longer
	$(BIN)pytest -m 'slow and not nightly' -n 5

nightly: ## Everything that takes longer still: full matrices, random state machines, fuzz, the soak
	$(BIN)pytest -m nightly -n 2 --reruns 0
	$(PYTHON) tests/soak/soak.py

soak: ## Thousands of adjustments while everything goes wrong, in about ten minutes
	$(PYTHON) tests/soak/soak.py

bench: ## Measure side by side, about three hours on a quiet machine; adds to benchmarks/RESULTS.md (BENCH=--smoke: does not)
	for script in decode commit journal_size start sweep outlets accounts fleet_scale reaction storm foresight slow_exchange endurance; do $(PYTHON) benchmarks/$$script.py $(BENCH) || exit 1; done

demo: ## A loan that survives a crash, in half a minute
	$(BIN)ltv-guard demo

audit: ## Known weaknesses of what the image installs (needs pip-audit, and pypi.org for the advisories)
	pip-audit --strict --disable-pip -r requirements.lock

image: ## Build the image without Docker and try it (needs root, buildah, debootstrap)
	$(BIN)pytest tests/container -m slow -s

docs: ## Write the tables of events and of keys that pages show, from the code
	$(PYTHON) -m ltv_guard.log.event_tables
	$(PYTHON) -m ltv_guard.adapters.settings.key_tables
	$(PYTHON) -m ltv_guard schema > config/ltv_guard.schema.json

lock: ## Pin what the image installs (needs uv)
	uv pip compile pyproject.toml --extra postgres --extra notify --python-version 3.13 --python-platform x86_64-manylinux_2_28 \
		--generate-hashes --no-header --quiet -o requirements.lock
