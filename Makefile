# The commands of the project. Every target may be repeated: finished work is skipped.
#
#   make demo      set up (without PyTorch), then show a network learn and continue a pattern
#   make test      set up (with PyTorch and the test tools), then run every test
#   make tutorial  the tutorial's own program, on PyTorch alone
#   make lint      every check that is not a test
#   make sanitize  the kernels' tests under the address and undefined-behaviour sanitizers
#   make faults    the whole fault suite: kills, disks that refuse, each safeguard switched off
#   make deletions traces every deletion and rename of the tests (strace): only ricorda's own files
#   make processes several processes: signals, hangs, two machines as network namespaces (as root)
#   make fuzz      coverage-guided fuzzing of every reader; FUZZ_RUNS=N executions of each
#   make mutants   changes the source at random places and lists what the tests do not detect; e.g.
#                  MUTANTS="--sample 100 --seed 1 --module text"
#   make clients   the served API with the real programs: openai, LangChain, LlamaIndex, llm, lm-eval, Node
#   make serve-check  random requests and a minute of load on a server; with MODEL=FILE
#   make compress-check  2,000 files and one of 50 MB compressed and restored, 500 damaged archives
#                  refused, with all instruction sets; with FOLDER=... also all of its files
#   make notebooks tables for pandas and polars, training in a kernel, the example notebook
#   make dashboards  the tests of --log with the real TensorBoard, Weights & Biases and MLflow
#   make bench     every figure that the README quotes, each with its peer; with TEXT=FILE and
#                  NANOGPT=FOLDER also those that learn a whole text
#   make cells     every cell at a minute each, three seeds: the documentation's chart and table; with
#                  TEXT=FILE another text than Python's library, CELLS=lstm,gru some of the cells
#   make pictures  the studio's panels, and with TEXT=FILE an exported page, into docs/pictures
#   make docs      the documentation, into build/docs; runs its commands
#   make clean     remove what the other targets made

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
SOURCES := $(shell find src kernels -type f -not -name '*.pyc')
KERNEL_FILES := $(shell find kernels -name '*.cpp' -o -name '*.hpp')

.PHONY: demo test tutorial lint sanitize faults deletions processes fuzz mutants serve-check compress-check notebooks bench cells dashboards clients pictures docs clean

demo: $(VENV)/.installed
	$(RUN)/ricorda demo

# Two worker processes; a module's tests stay together, since they share its fixtures. In the order
# of their names: by the number of their tests, modules of few long tests would come last.
TEST_WORKERS ?= 2

test: $(VENV)/.tools
	$(RUN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadscope --no-loadscope-reorder $(TESTS)

tutorial: $(VENV)/.tools
	$(RUN)/python examples/rnn_from_scratch.py --seed 1

lint: $(VENV)/.tools
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/clang-format --dry-run --Werror $(KERNEL_FILES)

# GCC's sanitizers are loaded before Python, which was not built with them.
SANITIZERS = $$(c++ -print-file-name=libasan.so) $$(c++ -print-file-name=libubsan.so) \
  $$(c++ -print-file-name=libstdc++.so)

sanitize: $(VENV)/.tools
	$(RUN)/cmake -S . -B build/sanitize -DRICORDA_SANITIZE=ON -DCMAKE_BUILD_TYPE=Debug \
	  -DPython_EXECUTABLE=$(abspath $(RUN)/python)
	$(RUN)/cmake --build build/sanitize -j2
	rm -rf build/sanitize/package && mkdir -p build/sanitize/package
	cp -r src/ricorda build/sanitize/package/ && rm -f build/sanitize/package/ricorda/*.so
	cp build/sanitize/_kernels*.so build/sanitize/package/ricorda/
	LD_PRELOAD="$(SANITIZERS)" ASAN_OPTIONS=detect_leaks=0 PYTHONPATH=build/sanitize/package \
	  $(RUN)/python -m pytest --timeout 0 tests/kernels

faults: $(VENV)/.tools
	FAULTS=all $(RUN)/python -m pytest --timeout 0 tests/faults tests/cli/test_tune.py

deletions: $(VENV)/.tools
	$(RUN)/python -m tests.faults.deletions $(TESTS)

processes: $(VENV)/.tools
	FAULTS=all $(RUN)/python -m pytest --timeout 0 tests/torch/test_processes.py tests/torch/test_two_machines.py

FUZZ_RUNS ?= 1000000
FUZZ_TARGETS ?= model vocabulary configuration text keras manifest onnx tensors

fuzz: $(VENV)/.tools
	$(PIP) atheris
	for target in $(FUZZ_TARGETS); do \
	  PYTHONPATH=. $(RUN)/python tests/fuzz/fuzz.py $$target -runs=$(FUZZ_RUNS) || exit 1; done

MUTANTS ?= --sample 100 --seed 1

mutants: $(VENV)/.tools
	$(PIP) cosmic-ray
	$(RUN)/python -m tests.mutants $(MUTANTS)

# Each in an environment of its own, since they need versions of packages that exclude each other.
CLIENTS := .venv-clients
CLIENT_PACKAGES = $(CLIENTS)/openai/.installed $(CLIENTS)/langchain/.installed \
  $(CLIENTS)/llama-index/.installed $(CLIENTS)/llm/.installed $(CLIENTS)/lm-eval/.installed
$(CLIENTS)/openai/.installed: PACKAGES = openai
$(CLIENTS)/langchain/.installed: PACKAGES = langchain-openai
$(CLIENTS)/llama-index/.installed: PACKAGES = llama-index-llms-openai-like llama-index-embeddings-openai-like
$(CLIENTS)/llm/.installed: PACKAGES = llm
$(CLIENTS)/lm-eval/.installed: PACKAGES = 'lm-eval[api]'

$(CLIENT_PACKAGES):
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --disable-pip-version-check --quiet $(PACKAGES)
	@touch $@

# Without Node, its tests are skipped.
$(CLIENTS)/node/.installed:
	mkdir -p $(@D)
	! command -v npm || npm install --prefix $(@D) --no-audit --no-fund openai
	@touch $@

clients: $(VENV)/.tools $(CLIENT_PACKAGES) $(CLIENTS)/node/.installed
	$(RUN)/python -m pytest --timeout 0 tests/clients tests/serving/test_openai.py

SERVE_CASES ?= 3500

serve-check: $(VENV)/.tools
	$(RUN)/python -m tests.serving.contract '$(MODEL)' --cases $(SERVE_CASES)
	$(RUN)/python -m tests.serving.load '$(MODEL)'

compress-check: $(VENV)/.tools
	$(RUN)/python -m tests.compression.check $(FOLDER)

notebooks: $(VENV)/.tools
	$(PIP) ipykernel ipywidgets nbclient pandas polars
	$(RUN)/python -m pytest tests/test_frames.py tests/training/report/test_kernel.py tests/docs/test_notebook.py

dashboards: $(VENV)/.tools
	$(RUN)/python -m pip install --disable-pip-version-check --quiet --upgrade \
	  --target $(CLIENTS)/dashboards tensorboard wandb mlflow
	PYTHONPATH=$(abspath $(CLIENTS)/dashboards) $(RUN)/python -m pytest --timeout 0 tests/training/report

bench: $(VENV)/.tools
	$(RUN)/python -m benchmarks engine
	$(RUN)/python -m benchmarks train $(if $(TEXT),--text '$(TEXT)') $(if $(NANOGPT),--nanogpt '$(NANOGPT)')

cells: $(VENV)/.tools
	$(RUN)/python -m benchmarks cells $(if $(TEXT),--text '$(TEXT)') $(if $(CELLS),--cells $(CELLS))

pictures: $(VENV)/.tools
	$(RUN)/python -m tests.studio.screenshots $(if $(TEXT),--text '$(TEXT)')
	$(if $(TEXT),$(RUN)/python -m tests.exchange.screenshots '$(TEXT)')

# Offline: nothing is loaded from elsewhere. A warning, such as a broken link, is an error.
docs: $(VENV)/.docs
	$(RUN)/sphinx-build --fail-on-warning --keep-going --quiet docs build/docs
	DOCS=all $(RUN)/python -m pytest --timeout 0 tests/docs

# python3 -m venv needs Debian's python3-venv; one line says so.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "ricorda needs Python 3.11 or newer: make PYTHON=/path/to/python3.12 demo"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "On Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }

# pip, because everyone has it. Also the temporary environment that it builds in is constrained.
PIP = PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
  $(RUN)/python -m pip install --disable-pip-version-check --quiet

DEPENDENCIES = $(RUN)/python -c "import tomllib; \
  print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'])"

# ricorda and what it needs to train: no PyTorch. Python's files are compiled when first imported.
# Its dependencies are installed while it is built, which does not keep all cores busy throughout.
# Once the tools are there, the build uses them and compiles only the C++ files that changed.
$(VENV)/.installed: constraints.txt pyproject.toml CMakeLists.txt $(SOURCES) | $(VENV)/bin/python
	@echo "Setting up $(VENV) and compiling the kernels. It takes a minute, once."
	@$(DEPENDENCIES) | xargs env $(PIP) --no-compile & \
	  $(PIP) --no-compile --no-deps $(if $(wildcard $(VENV)/.tools),--no-build-isolation) .; \
	  built=$$?; wait $$! && exit $$built
	@cp $(VENV)/lib/python*/site-packages/ricorda/_kernels.pyi src/ricorda/ || true  # for mypy
	@touch $@

$(VENV)/.tools: $(VENV)/.installed
	@echo "Adding PyTorch and the tools of the tests. It takes a few minutes, once."
	$(PIP) 'ricorda[dev]'
	@$(RUN)/python -m compileall -qq $(VENV)/lib || true  # or each process of the tests compiles it all
	@touch $@

$(VENV)/.docs: $(VENV)/.tools
	$(PIP) 'ricorda[docs]'
	@touch $@

clean:
	rm -rf $(VENV) $(CLIENTS) build dist
