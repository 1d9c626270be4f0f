# The only entry points. `make` alone lists them.

# Found even where no shell profile put it on the path.
export PATH := $(PATH):$(HOME)/.cargo/bin

WASM_TARGET := wasm32-wasip1
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
LINKED := $(TARGET_DIR)/$(WASM_TARGET)/release
# A module over this size fails the build: each VM compiles and keeps its own.
MAX_KB := 320

# The processors that the command and the native module are released for.
ARCHITECTURES ?= $(subst arm64,aarch64,$(shell uname -m))

SOAK_MINUTES := 10
# Or native.
SOAK_FORM := wasm
BENCH_MODULES := out/bench/modules

PACK := cargo run --quiet --package istio-stats-tools -- pack

.PHONY: help build demo test lint test-native test-e2e test-matrix hostile multicluster advisories fuzz memory coverage mutants soak bench scale dist reproducible pictures clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## dist/istio_stats.wasm and dist/metadata_exchange.wasm; on Linux both as dist/libistio_stats.so
	@scripts/setup build
	@scripts/build-wasm
	@cargo build --package istio-stats-tools
	@$(PACK) --artefact istio-stats --max-kb $(MAX_KB) $(LINKED)/istio_stats_module.wasm dist/istio_stats.wasm
	@$(PACK) --artefact metadata-exchange --max-kb $(MAX_KB) $(LINKED)/metadata_exchange_module.wasm dist/metadata_exchange.wasm
	@scripts/build-native dist

demo: ## two Envoys in two Kubernetes clusters, real requests, their metrics as a table (DEMO_KEEP=1: stays up; NATIVE=1: the native module)
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@.venv/bin/python -m demo

test: ## everything below, in real Envoys too (ENVOY_VERSIONS="1.36.2 1.40.0")
	@scripts/run-tests

lint: ## sizes of files, shell scripts, format, clippy for the host and for Wasm, dependencies, ruff and mypy for Python, documentation
	@scripts/run-tests lint

test-native: ## unit and native tests
	@scripts/run-tests native

test-e2e: ## samples and end-to-end tests in real Envoys
	@scripts/run-tests e2e

test-matrix: ## the same in every supported Envoy
	@ENVOY_VERSIONS="$$(scripts/envoy-path --list)" scripts/run-tests e2e

hostile: ## of test-e2e the attacks alone (docs/security.md)
	@PYTEST_ADDOPTS="-k hostile" scripts/run-tests e2e

multicluster: ## two Kubernetes clusters in Docker, seen as one by Prometheus (MULTICLUSTER_KEEP=1: stays up)
	@scripts/setup multicluster
	@$(MAKE) --no-print-directory build
	@.venv/bin/python -m pytest tests/multicluster

advisories: ## what is known against the crates; needs github.com, so no part of test
	@scripts/setup test
	@scripts/deny advisories

fuzz: ## libFuzzer on whatever reads foreign bytes, for long (FUZZ_RUNS=10000000)
	@scripts/fuzz

memory: ## Valgrind on the native module in a fake Envoy, or in real ones (MEMORY="tests/e2e/test_tcp.py -k native")
	@scripts/memory $(MEMORY)

coverage: ## how much of the core its tests run; fails below COVERAGE_MIN percent
	@scripts/coverage

mutants: ## changes one thing at a time; the tests must notice (MUTANTS="src/catalogue/label_value.rs src/stats/tcp.rs"; default: what changed)
	@scripts/mutants $(MUTANTS)

soak: ## mixed traffic while peers and configurations change: nothing may grow, everything is counted (SOAK_MINUTES=10 SOAK_FORM=native)
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@SOAK_MINUTES=$(SOAK_MINUTES) .venv/bin/python -m pytest tests/e2e/test_soak.py -k $(SOAK_FORM) --quiet --capture=no -o faulthandler_timeout=0

bench: ## CPU, latency and memory of a real Envoy with the plugins, without, and with others (BENCH="--only tcp"; benches/README.md)
	@scripts/setup bench
	@$(MAKE) --no-print-directory build
	@RUSTFLAGS=-Csymbol-mangling-version=v0 cargo build --release --target $(WASM_TARGET) --package bench-probe --package bench-reference
	@cargo build --release --package bench-native
	@mkdir -p $(BENCH_MODULES)
	@cp $(TARGET_DIR)/release/libbench_native.so $(BENCH_MODULES)/empty_native.so
	@cp $(LINKED)/bench_probe.wasm $(BENCH_MODULES)/empty_filter.wasm
	@cp $(LINKED)/bench_reference.wasm $(BENCH_MODULES)/reference.wasm
	@$(PACK) --artefact istio-stats $(LINKED)/bench_probe.wasm $(BENCH_MODULES)/empty_logger.wasm
	@.venv/bin/python -m benches.load $(BENCH)

scale: ## many proxies, their Prometheis and a store: what each form takes, beside what istio-stats plan says (SCALE="--effort 0.2"; docs/scale.md)
	@scripts/setup bench
	@$(MAKE) --no-print-directory build
	@.venv/bin/python -m benches.load --only scrape,fleet,model $(SCALE)

dist: ## what is released: modules, command, images, bills of materials, SHA256SUMS (ARCHITECTURES="x86_64 aarch64"; docs/release.md)
	@scripts/setup dist $(ARCHITECTURES)
	@$(MAKE) --no-print-directory build
	@scripts/build-native dist $(ARCHITECTURES)
	@scripts/build-command dist $(ARCHITECTURES)
	@.venv/bin/python -m scripts.dist

reproducible: ## a build in another folder with another CARGO_HOME has to give the same bytes
	@$(MAKE) --no-print-directory build
	@scripts/build-native dist $(ARCHITECTURES)
	@scripts/build-command dist $(ARCHITECTURES)
	@scripts/check-reproducible $(ARCHITECTURES)

pictures: ## docs/pictures: istio-stats ui in a Chromium, top on a terminal, the demo
	@scripts/setup test
	@$(MAKE) --no-print-directory build
	@.venv/bin/python -m scripts.pictures

clean: ## removes whatever was built or installed here
	cargo clean
	rm -rf dist out .venv .pytest_cache .mypy_cache .ruff_cache
