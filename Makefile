# `make demo` and `make test` do all set-up on a fresh machine with Python 3.11 and make.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORPORA ?= corpora
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: help demo test check format test-corpora bench study torture docs clean

help:
	@echo "make demo           the whole chain on a synthetic corpus"
	@echo "make test           all tests"
	@echo "make check          ruff, ruff format, mypy --strict"
	@echo "make format         let ruff format the code"
	@echo "make test-corpora   tests on real corpora: CORPORA=FOLDER with ravdess/ in it"
	@echo "make bench          speed beside peers"
	@echo "make study          what each leak is worth, and the figures of docs/evaluation.md:"
	@echo "                    CORPORA=FOLDER with ravdess/, tess/, nemo/ and banglaser/ in it"
	@echo "make torture        kills, full disks, damaged files, lost nodes: most of an hour"
	@echo "make docs           the documentation as a site, in build/site"
	@echo "make clean          remove what was built"

# One pip call for everything, so that no later package resolves torch again.
$(VENV)/train.stamp: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[train]'
	touch $@

$(VENV)/dev.stamp: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[dev,bench]'
	touch $@ $(VENV)/train.stamp

demo: $(VENV)/train.stamp
	$(BIN)/affectus demo demo

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m "not corpus"

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-corpora: $(VENV)/dev.stamp
	CORPORA="$(CORPORA)" $(BIN)/python -m pytest -m corpus -s

bench: $(VENV)/dev.stamp
	$(BIN)/python -m benchmarks.extraction
	$(BIN)/python -m benchmarks.descriptors
	$(BIN)/python -m benchmarks.reading
	$(BIN)/python -m benchmarks.rows
	$(BIN)/python -m benchmarks.faces
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.evaluation
	TORCH_CPP_LOG_LEVEL=ERROR $(BIN)/python -m benchmarks.cold_start
	TORCH_CPP_LOG_LEVEL=ERROR $(BIN)/python -m benchmarks.prediction
	$(BIN)/python -m benchmarks.encoders

study: $(VENV)/dev.stamp
	$(BIN)/python -m experiments.leaks "$(CORPORA)"
	$(BIN)/python -m experiments.pictures "$(CORPORA)"

torture: $(VENV)/dev.stamp
	$(PIP_INSTALL) -e '.[dev,ray]'
	-$(PIP_INSTALL) atheris  # there is none for every Python; without it, parsers are not guided
	$(BIN)/python -m torture

docs: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

clean:
	rm -rf $(VENV) demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
