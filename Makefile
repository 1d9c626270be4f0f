# The only entry points. `make` alone lists them.

# Found even where no shell profile put it on the path.
export PATH := $(PATH):$(HOME)/.cargo/bin

WASM_TARGET := wasm32-wasip1
# Panic messages name source files: not by where they are on this machine, so
# that everybody builds the same bytes.
WASM_FLAGS := --remap-path-prefix=$(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src=/cargo --remap-path-prefix=$(CURDIR)=/istio-stats
LINKED := $(or $(CARGO_TARGET_DIR),target)/$(WASM_TARGET)/release
# A module over this size fails the build: each VM compiles and keeps its own.
STATS_MAX_KB := 200

PACK := cargo run --quiet --package istio-stats-tools -- pack

.PHONY: help build demo test lint test-native test-e2e fuzz bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## dist/istio_stats.wasm and dist/metadata_exchange.wasm
	@scripts/setup build
	@CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$(WASM_FLAGS)" \
		cargo build --release --target $(WASM_TARGET) --package istio-stats-module --package metadata-exchange-module
	@cargo build --package istio-stats-tools
	@$(PACK) --artefact istio-stats --max-kb $(STATS_MAX_KB) $(LINKED)/istio_stats_module.wasm dist/istio_stats.wasm
	@$(PACK) --artefact metadata-exchange $(LINKED)/metadata_exchange_module.wasm dist/metadata_exchange.wasm

demo: ## two Envoys in two Kubernetes clusters, real requests, their metrics as a table (DEMO_KEEP=1: stays up)
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@.venv/bin/python demo/run.py

test: ## everything below, in real Envoys too (ENVOY_VERSIONS="1.36.2 1.40.0")
	@scripts/run-tests

lint: ## format, clippy for the host and for Wasm, documentation
	@scripts/run-tests lint

test-native: ## unit and native tests
	@scripts/run-tests native

test-e2e: ## samples and end-to-end tests in real Envoys
	@scripts/run-tests e2e

fuzz: ## libFuzzer on whatever reads foreign bytes, for long (FUZZ_RUNS=10000000; needs nightly Rust and cargo-fuzz)
	@scripts/fuzz

bench: ## TCP throughput of a real Envoy without and with the plugins (benches/README.md)
	@scripts/setup demo
	@$(MAKE) --no-print-directory build
	@PYTHONPATH=demo .venv/bin/python benches/load/tcp.py

clean: ## removes whatever was built or installed here
	cargo clean
	rm -rf dist out .venv .pytest_cache
