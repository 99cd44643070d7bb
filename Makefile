# make run    makes the environment and runs the main job on a sample (PHOTOS=DIR: on your own photos)
# make test   makes the environment with the test tools, and tests
# make check  format, lint, types, layers, that only one module writes files, and that the documentation builds
# make docs   the documentation, as .site/index.html
# make bench  speed beside the peers, as a table

PYTHON ?= python3
PHOTOS ?=
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif

.PHONY: run test check docs bench clean

$(VENV)/.run: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@$(BIN)/python -c "open('$@', 'w').close()"

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@$(BIN)/python -c "open('$@', 'w').close(); open('$(VENV)/.run', 'w').close()"

run: $(VENV)/.run
ifeq ($(PHOTOS),)
	$(BIN)/python tools/sample.py sample
	$(BIN)/camtrail process sample --track sample/ride/ride.gpx --report sample/report.html
else
	$(BIN)/camtrail process "$(PHOTOS)" --report camtrail-report.html
endif

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --no-cache --check src tests tools bench
	$(BIN)/ruff check --no-cache src tests tools bench
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/writes_lint.py src/camtrail
	$(BIN)/python -m mkdocs build --strict --quiet

docs: $(VENV)/.dev
	$(BIN)/python -m mkdocs build --strict --quiet
	@echo .site/index.html

bench: $(VENV)/.dev
	$(BIN)/python -m bench

clean:
	$(PYTHON) -c "import shutil; [shutil.rmtree(p, True) for p in ('$(VENV)', '.bench', '.site', 'sample', 'artefacts')]"
