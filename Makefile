# make gallery: every experiment of Part A as one page, out/gallery/index.html
# make test:    lint, types and tests
# Both need Python 3.11 or newer and nothing else; `make install` is what they share.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install gallery test clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

gallery: install
	$(BIN)/duckrabbit gallery --out out/gallery

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

clean:
	rm -rf .venv out
