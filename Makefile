# `make` alone lists the targets. `make book` and `make test` set up all they need in $(VENV).
# PIP_CONSTRAINT holds for the build backend too, which pip installs apart.
# To use an environment of your own instead: make test SAFECROSS_PYTHON=python

PYTHON  ?= python3.11
VENV    ?= .venv
EVOLUTION ?= .venv-evolution
PROFILE ?= quick

ifeq ($(SAFECROSS_PYTHON),)
PY    := $(VENV)/bin/python
READY := $(VENV)/.ready
CHECK := $(VENV)/.check
else
PY    := $(SAFECROSS_PYTHON)
READY :=
CHECK :=
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help book check-book test test-evolution lint notebooks verify bench mutants clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

book: $(READY) ## execute the chapters and build the book: PROFILE=quick (default) or paper
	$(PY) -m safecross book --profile $(PROFILE)

check-book: $(CHECK) ## look at the built book in Chromium or Chrome, every page: after make book
	$(PY) -m pytest -q -m browser tests/test_checkbook.py
	$(PY) -m checkbook

# One thread for each of the test workers: together they use the cores, and do not fight over them.
test: lint ## lint, then run all the tests
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest -n auto --maxprocesses 4

test-evolution: $(EVOLUTION)/.ready ## run the plug-ins for other libraries, in an environment of their own
	OMP_NUM_THREADS=1 $(EVOLUTION)/bin/python -m pytest -q -m plugins tests/plugins

lint: $(READY) ## check style, format and the pairing of the notebooks
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m safecross.book.pairing --check

notebooks: $(READY) ## make notebooks/*.ipynb from their sources, notebooks/*.py
	$(PY) -m safecross.book.pairing

verify: $(READY) ## retrain one random pair of each main record and compare (needs the real data)
	$(PY) -m safecross verify --pairs 1 --seed $$(date +%s)

bench: $(READY) ## time the package against its peers and the machine
	$(PY) -m benchmarks

mutants: $(READY) ## break the package in small ways and see whether the tests notice (a quarter of an hour)
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.mutants

clean: ## remove the built book and the caches; keeps the environment, data and runs
	rm -rf _build .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(VENV)/.ready: constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name yours with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=constraints.txt $(VENV)/bin/python -m pip install -c constraints.txt -e '.[book,test]'
	touch $@

# It lies on top of the main environment: what that has is seen through a .pth file and not installed again. Most of
# what comes with the libraries is never imported, so nothing is compiled beforehand.
$(EVOLUTION)/.ready: $(READY) constraints.txt constraints-evolution.txt pyproject.toml
	$(PY) -m venv $(EVOLUTION)
	$(PY) -c "import site; print('import site; site.addsitedir(%r)' % site.getsitepackages()[0])" > $$(echo $(EVOLUTION)/lib/python*/site-packages)/below.pth
	PIP_CONSTRAINT=constraints.txt $(EVOLUTION)/bin/python -m pip install --no-compile -c constraints.txt -c constraints-evolution.txt -e '.[evolution]' hypothesis pytest
	touch $@

$(VENV)/.check: $(VENV)/.ready
	$(VENV)/bin/python -m pip install -c constraints.txt -e '.[book,test,check]'
	touch $@
