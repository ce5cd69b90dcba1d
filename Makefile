# `make` lists what there is.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-run build build-suite run tour test lint bench clean images push images-test kubernetes-test \
    mesh-test compose-test kind-up kind-down

# rustup's folder, where a non-login shell doesn't have it.
export PATH := $(PATH):$(HOME)/.cargo/bin

# The policies, which know nothing of Envoy: their tests also run inside a WebAssembly VM.
PURE_CRATES := $(filter-out sluice-host sluice-suite,$(patsubst filters/%/Cargo.toml,sluice-%,$(wildcard filters/*/Cargo.toml)))

# What the integration tests find by name.
TEST_ENVIRONMENT := SLUICE_DIST=$(CURDIR)/dist SLUICE_WASM=$(CURDIR)/dist/sluice.wasm \
    ENVOY_BIN=$(CURDIR)/.tools/bin/envoy SLUICE_TOOLS=$(CURDIR)/.tools/bin

# The tests that start real servers of others, each with a target of its own: crate by crate, and one test after the other, since
# they share the machine's namespaces and say what they are at.
SERVER_CRATES := sluice-image sluice-kubernetes-test sluice-mesh-test sluice-compose-test
SERVER_TEST := $(TEST_ENVIRONMENT) cargo test --profile tool
ONE_BY_ONE := -- --nocapture --test-threads=1

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

setup: ## Finds or installs what is needed, into .tools/ wherever possible; instant when nothing is to do
	@tools/setup

setup-run:
	@tools/setup run

build: setup-run ## Fills dist/: the modules and the sluice command
	@tools/build-modules

# What the demo and the benchmark run: the suite alone, for something to see sooner.
build-suite: setup-run
	@tools/build-modules --only sluice,sluice-bodies,sluice-headers,sluice-requests

run: build-suite ## Starts the demo: an edge and two sidecars on real Envoys, and a tour of the policies; serves until Ctrl-C
	@ENVOY_BIN=$(CURDIR)/.tools/bin/envoy cargo run --profile tool -p sluice-integration --bin sluice-tour -- run

tour: build-suite ## The same, but ends after the tour; exit status 0 only if every step held
	@ENVOY_BIN=$(CURDIR)/.tools/bin/envoy cargo run --profile tool -p sluice-integration --bin sluice-tour -- tour

test: setup lint build ## All tests: natively, on real Envoys, and inside a WebAssembly VM; first the set-up and the lints
	$(TEST_ENVIRONMENT) cargo test --profile tool --workspace $(addprefix --exclude ,$(SERVER_CRATES)) --no-fail-fast
	cargo test --profile tool -p sluice-authn --no-default-features --test host_alone
	tools/test-wasm $(PURE_CRATES)
	@tools/where-possible images-test kubernetes-test mesh-test compose-test

# The fuzz targets are a workspace of their own: checked, not linked, so that libFuzzer need not be built.
lint: setup ## Formatting, clippy natively and as the module sees the code, and what dependencies may be
	cargo fmt --all --check
	cargo clippy --profile tool --workspace --all-targets -- -D warnings
	tools/wasm-cargo clippy --package sluice-suite --lib --target wasm32-wasip1 -- -D warnings
	CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo check --quiet --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --all-targets
	@tools/check-dependencies

bench: setup-run ## Measures what a request costs, beside Envoy's own filters
	@tools/build-modules --only sluice,sluice-bodies,sluice-headers,sluice-requests,sluice-host-signatures
	@ENVOY_BIN=$(CURDIR)/.tools/bin/envoy cargo run --profile tool -p sluice-bench --

images: build ## Builds dist/images/: an OCI image of each module, in both forms, and one of the demo
	@tools/build-images

push: ## Pushes dist/images/ to REGISTRY=host/path (INSECURE=1 for a registry without TLS)
	@[ -z "$(REGISTRY)" ] || tools/setup push
	@tools/push-images "$(REGISTRY)"

images-test: images ## The images in a real registry, pulled again by other tools
	@tools/setup images
	$(SERVER_TEST) -p sluice-image $(ONE_BY_ONE)

kubernetes-test: build ## The manifests, applied to a real kube-apiserver with Istio's definitions
	@tools/setup kubernetes
	@cargo build --profile tool -p sluice-integration --bin sluice-tour # the services of the demo, as they are now
	$(SERVER_TEST) -p sluice-kubernetes-test $(ONE_BY_ONE)

mesh-test: images ## A real Istio mesh in network namespaces, with the module from a real registry; needs root
	@tools/setup mesh
	$(SERVER_TEST) -p sluice-mesh-test $(ONE_BY_ONE)

compose-test: images ## docker-compose.yml on a Docker Engine of its own, each container killed once; needs root
	@tools/setup compose
	$(SERVER_TEST) -p sluice-compose-test $(ONE_BY_ONE)

kind-up: ## A kind cluster with Istio, the images and the demo's services
	@envoy-configs/kind/up

kind-down: ## Removes that cluster
	@envoy-configs/kind/down

clean: ## Removes what was built: target/ and dist/; .tools/ stays
	rm -rf target dist
