# Each target sets itself up on a fresh machine: a virtual environment in .venv with the tested versions.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: solve test format lint types unit slow table accuracy bench install-check clean

solve: $(STAMP)  ## solve Burgers' equation with a network and with a classical method
	$(BIN)/python -m sciml.solve burgers

test: format lint types unit  ## everything that CI asks for

format: $(STAMP)
	$(BIN)/ruff format --check .

lint: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/pyright --pythonpath $(BIN)/python

# Two workers of one thread each: threads of several workers wait for each other.
unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

slow: $(STAMP)  ## accuracy runs of minutes
	$(BIN)/python -m pytest -m slow

table: $(STAMP)  ## the README's table: every bundled problem through the command
	$(BIN)/python -m benchmarks.problems

accuracy: $(STAMP)  ## seconds to each error, five seeds, beside classical solvers and DeepXDE: hours; resumes
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	$(BIN)/python -m benchmarks.accuracy

bench: $(STAMP)  ## all benchmarks in a small form, ten minutes on two idle cores; resumes
	$(BIN)/python -m benchmarks

install-check: $(STAMP)  ## a built wheel, an editable install and a checkout each solve a problem in an empty environment
	PYTHON=$(PYTHON) bash .ci/install

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[test]"
	touch $@

clean:
	rm -rf $(VENV) build dist runs
