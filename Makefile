# `make` lists what there is.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-run build build-suite run tour test lint bench clean

# rustup's folder, where a non-login shell doesn't have it.
export PATH := $(PATH):$(HOME)/.cargo/bin

# The policies, which know nothing of Envoy: their tests also run inside a WebAssembly VM.
PURE_CRATES := sluice-core sluice-authn sluice-authz sluice-rate-limit sluice-header-routing \
    sluice-fault-injection sluice-telemetry sluice-pipeline

# What the integration tests find by name.
TEST_ENVIRONMENT := SLUICE_DIST=$(CURDIR)/dist SLUICE_WASM=$(CURDIR)/dist/sluice.wasm ENVOY_BIN=$(CURDIR)/.tools/bin/envoy

help: ## Lists the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16

setup: ## Finds or installs what is needed, into .tools/ wherever possible; instant when nothing is to do
	@tools/setup

setup-run:
	@tools/setup run

build: setup-run ## Fills dist/: the modules and the sluice command
	@tools/build-modules

# What the demo and the benchmark run: the suite alone, for something to see sooner.
build-suite: setup-run
	@tools/build-modules --only sluice,sluice-headers

run: build-suite ## Starts the demo: an edge and two sidecars on real Envoys, and a tour of the policies; serves until Ctrl-C
	@ENVOY_BIN=$(CURDIR)/.tools/bin/envoy cargo run --profile tool -p sluice-integration --bin sluice-tour -- run

tour: build-suite ## The same, but ends after the tour; exit status 0 only if every step held
	@ENVOY_BIN=$(CURDIR)/.tools/bin/envoy cargo run --profile tool -p sluice-integration --bin sluice-tour -- tour

test: setup lint build ## All tests: natively, on real Envoys, and inside a WebAssembly VM; first the set-up and the lints
	$(TEST_ENVIRONMENT) cargo test --profile tool --workspace --no-fail-fast
	tools/test-wasm $(PURE_CRATES)

lint: setup ## Formatting and clippy, without a warning, natively and as the module sees the code
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	tools/wasm-cargo clippy --package sluice-suite --lib --target wasm32-wasip1 -- -D warnings

bench: build-suite ## Measures what a request costs, beside Envoy's own filters
	@ENVOY_BIN=$(CURDIR)/.tools/bin/envoy cargo run --profile tool -p sluice-bench --

clean: ## Removes what was built: target/ and dist/; .tools/ stays
	rm -rf target dist
