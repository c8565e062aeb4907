# make repro: environment, then the whole pipeline · make test: environment, then every test · make ui: the runs
# make test-fast: the tests that neither run the pipeline nor open a browser, for daily work
# make bench: what is claimed to be fast, measured (make bench-peers, once before: with others' programs to compare with)
# make fuzz: odd pictures by the ten thousand, each read here and by other programs
# make torture: stages killed over and over, and what it did to them
PYTHON ?= python3
VENV := .venv
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export OMP_WAIT_POLICY ?= PASSIVE
export DVC_NO_ANALYTICS := 1
# two processes, which take whole files in the order of tests/conftest.py
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
export DALLE_PEERS ?= $(CURDIR)/.peers

.PHONY: repro test test-fast ui bench bench-peers fuzz torture clean

repro: $(VENV)/ready
	dvc repro
	@dalle upload || true

test: $(VENV)/ready
	python -m pytest $(WORKERS)

test-fast: $(VENV)/ready
	python -m pytest $(WORKERS) -m "not pipeline and not browser"

ui: $(VENV)/ready
	@dalle upload || true
	mlflow ui --workers 1 --backend-store-uri sqlite:///mlflow.db

bench: $(VENV)/ready
	python tests/benchmarks/dvae.py
	python tests/benchmarks/tokens.py
	python tests/benchmarks/prior.py
	python tests/benchmarks/evaluation.py
	python tests/benchmarks/filtering.py
	python tests/benchmarks/language.py
	python tests/benchmarks/tracking.py

# other implementations of DALL-E, outside the environment; without what they ask for beside, some of which cannot be built
bench-peers: $(VENV)/ready
	python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(DALLE_PEERS) dalle-pytorch==1.6.6 \
		rudalle==1.1.3 einops==0.8.2 axial_positional_embedding==0.3.12 rotary-embedding-torch==0.9.1

fuzz: $(VENV)/ready
	FUZZ_FILES=$${FUZZ_FILES:-20000} python -m pytest tests/data/test_picture_structures.py

torture: $(VENV)/ready
	python tests/pipeline/torture.py

# the lock pins every package; the project itself is only linked, so that edits count at once
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 13), "Python 3.11 to 3.13 is needed, this is " + sys.version'
	$(PYTHON) -m venv --clear $(VENV)
	python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# what the pipeline and its tools made; the cache in .dvc/cache stays, so a repro afterwards only checks out
clean:
	rm -rf data models samples reranked rivals human_eval human_eval_votes completions runs .checkpoints
