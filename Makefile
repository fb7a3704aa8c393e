# Two commands do everything on a bare machine with Python >= 3.11:
#   make run [SPEC=specs/gpt2.yaml]   set up, then plan, train, analyse and report
#   make test                         set up with test tools, then lint, types, import rules, tests
#   make thorough                     all tests, with those left out of `make test` because another shows the same
#   make processors                   tests of torch's arithmetic, with the kernels of other processors
#   make release-check                builds what is published from the last commit, twice, and installs it
#   make audit                        asks for known vulnerabilities of the pinned versions

PYTHON ?= python3
SPEC ?= specs/reformer.yaml
VENV ?= .venv
BIN := $(VENV)/bin
# Python compiles what it imports, which is little of what is installed: not compiling all of it saves most of a minute.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-compile -c constraints.txt
# Where torch computes, and what makes it compute as another processor would, one at a time.
ARITHMETIC := tests/conformance tests/integration/test_ranks.py tests/integration/test_resume_after_kill.py \
  $(addprefix tests/unit/,denoising evolved_transformer nn objectives testing training transformer_xl)
PROCESSORS := ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE ONEDNN_MAX_CPU_ISA=SSE41 \
  OMP_NUM_THREADS=2
# A module's tests stay together, so that what they share is made once; long modules go first (tests/conftest.py), so
# that none of them is left over for one process at the end.
PYTEST_ARGS ?= -n 2 --dist loadscope --no-loadscope-reorder

# Small models on few cores: one thread a process, and no spinning while a neighbour works.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= passive
# Python keeps what it has compiled, whatever the environment says: each process that trains would compile torch,
# transformers and DeepSpeed anew, which takes longer than importing them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test thorough processors release-check audit check lint types imports tests format clean

run: $(VENV)/.installed
	$(BIN)/archbench run $(SPEC)

# The quick checks first; types need one core for a minute, and the tests go on beside them.
test: lint imports
	@$(MAKE) --no-print-directory -j2 types tests

check: lint types imports

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

imports: $(VENV)/.installed-test
	$(BIN)/lint-imports

tests: $(VENV)/.installed-test
	$(BIN)/pytest $(PYTEST_ARGS)

thorough: $(VENV)/.installed-test
	ARCHBENCH_MUTATIONS=1000 $(BIN)/pytest $(PYTEST_ARGS) -m "not release"

processors: $(VENV)/.installed-test
	@for one in $(PROCESSORS); do echo "$$one"; env $$one $(BIN)/pytest $(PYTEST_ARGS) $(ARITHMETIC) || exit 1; done

release-check: $(VENV)/.installed-test
	$(BIN)/pytest -m release tests/release

# --strict: what the database does not know, or cannot be asked about, has not been audited.
audit: $(BIN)/python
	$(PIP) pip-audit
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r constraints.txt

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "archbench needs Python 3.11 or later, and '$(PYTHON)' is not; say make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "no virtual environment could be made; on Debian: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing archbench into $(VENV) (about a minute, 1.5 GB)"
	$(PIP) -e '.[train]'
	@touch $@

$(VENV)/.installed-test: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing archbench and its test tools into $(VENV) (about a minute, 1.6 GB)"
	$(PIP) -e '.[test]'
	@touch $@ $(VENV)/.installed
