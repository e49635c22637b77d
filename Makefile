# make gallery: every experiment of the course, both parts, as one page, out/gallery/index.html
# make test:    lint, types and tests
# Both need Python 3.11 or newer; `make install` is what they share. Part B of the gallery fetches MNIST.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install gallery test lint types examples pictures clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch $@

gallery: install
	$(BIN)/duckrabbit gallery --out out/gallery

test: install
	+$(MAKE) --no-print-directory --jobs 2 lint types examples
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

examples:
	$(BIN)/mypy --strict --config-file /dev/null --cache-dir .mypy_cache/examples \
		$(filter-out examples/studio_client.py,$(wildcard examples/*.py))

# The pictures of the README, made anew.
pictures: install
	$(BIN)/duckrabbit anagram "a glossy emoji of a pear" "a glossy emoji of a light bulb" --view rotate_180 --seed 0 \
		--out out/readme/anagram
	$(BIN)/duckrabbit gallery --only forward --out out/readme/gallery
	$(BIN)/duckrabbit denoise out/readme/gallery/pictures/face.png --t 500 --out out/readme/denoise
	$(BIN)/duckrabbit views out/readme/gallery/pictures/house.png --animate gif --out out/readme/views
	mkdir -p docs/pictures
	cp out/readme/views/sheet.png docs/pictures/views.png
	cp out/readme/views/jigsaw.gif docs/pictures/view-jigsaw.gif
	cp out/readme/views/square_hinge.gif docs/pictures/view-square-hinge.gif
	cp out/readme/anagram/sheet.png docs/pictures/anagram.png
	cp out/readme/denoise/sheet.png docs/pictures/denoise.png

clean:
	rm -rf .venv out
