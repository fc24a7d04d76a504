# The commands of the project. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Cargo and pip already use all cores.
.NOTPARALLEL:
.PHONY: help demo test check setup-server setup python schedules stress fuzz bench bench-page bench-train seeds int8-quality agreement kills \
    quality diffusers models extractor page-bundle gallery dist gpu-kit clean

# ONNX Runtime reports to its vendor unless this is set before it is loaded.
export ORT_DISABLE_TELEMETRY := 1

# `make TARGET DEVICE=cuda` builds and runs with the libraries of .runtime-cuda/. Otherwise
# .cargo/config.toml sets their paths.
DEVICE ?= $(if $(filter gpu-kit,$(MAKECMDGOALS)),cuda,cpu)
ifeq ($(DEVICE),cuda)
export LIBTORCH := $(CURDIR)/.runtime-cuda/torch
export ORT_DYLIB_PATH := $(CURDIR)/.runtime-cuda/onnxruntime/capi/libonnxruntime.so.1.31.1
# A folder of its own, so that the programs in target/ still start without CUDA.
export CARGO_TARGET_DIR := $(patsubst %/cuda,%,$(or $(CARGO_TARGET_DIR),$(CURDIR)/target))/cuda
else ifneq ($(DEVICE),cpu)
$(error DEVICE is cpu or cuda, got "$(DEVICE)")
endif

help: ## List these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | while IFS=$$'\t' read -r name text; do \
	    printf '  make %-14s%s\n' "$$name" "$$text"; done

demo: setup-server ## Serve the two embedded models and draw samples of both into demo/
	@tools/preflight.sh rust c++
	cargo build --release -p ddpm-server -p ddpm-client
	@python3 tools/demo.py

test: check ## Run everything: formatting, lints, documentation, tests, Python, diffusers, GPU kit
	@tools/browser.sh
	@tools/setup.sh python tests/python/axe.txt
	cargo build --workspace --bins
	DDPM_BINARIES="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/debug" \
	    cargo test --workspace --no-fail-fast --features ddpm-tests/exporter
	folder="$${CARGO_TARGET_DIR:-target}/debug"; "$$folder/stress" --short --only cancels,second --binaries "$$folder"
	@tools/setup.sh python tests/python/requirements.txt
	python3 tests/python/test_client.py
	@tools/setup.sh python tests/python/notebook.txt
	python3 tests/python/test_package.py
	@$(MAKE) --no-print-directory diffusers
	python3 tests/python/test_gpu_kit.py

check: setup ## Check formatting, lints, documentation and licences, without running tests
	@tools/preflight.sh rust c++
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features ddpm-tests/exporter -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	@tools/deny.sh

setup-server: ## Fetch ONNX Runtime into .runtime/ (24 MB): enough for server and client
	@tools/preflight.sh python
	@tools/setup.sh $(if $(filter cuda,$(DEVICE)),cuda,server)

setup: setup-server ## Fetch libtorch too (550 MB); with DEVICE=cuda the CUDA libraries (2.8 GB)
	@$(if $(filter cuda,$(DEVICE)),true,tools/setup.sh trainer)

python: ## Build the Python client, client/python, into dist/python/: a wheel and an sdist
	@tools/preflight.sh python
	@tools/setup.sh python tests/python/requirements.txt
	@python3 tools/python_package.py dist/python

schedules: setup-server ## Run the server's core through a million random schedules (DDPM_SCHEDULES)
	@tools/preflight.sh rust c++
	cargo test --release -p ddpm-server --lib -- --ignored --nocapture a_million_random_schedules

stress: setup-server $(if $(ARGS),,schedules) ## Prove the figures of docs/stress.md, within an hour (ARGS="--only NAME", --short, --help)
	@tools/preflight.sh rust c++
	cargo build --release -p ddpm-server -p ddpm-client -p ddpm-tests --bins
	@"$${CARGO_TARGET_DIR:-target}/release/stress" $(ARGS)

fuzz: setup-server ## Send random inputs to all that reads a request, for DDPM_FUZZ_SECONDS (300), and keep new ones
	@tools/preflight.sh rust c++
	CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS=true CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS=true \
	    cargo test --release -p ddpm-server --lib -- --ignored --nocapture minutes_of_random_inputs

bench: setup ## Measure the server beside PyTorch on a CIFAR-10-size network (ARGS=--help)
	@tools/preflight.sh rust c++
	cargo build --release --workspace --bins
	@tools/setup.sh python tests/python/requirements.txt
	@tools/setup.sh python tools/bench/requirements.txt
	python3 tools/bench/bench.py $(ARGS)

bench-page: setup-server ## Measure the page in headless Chromium (ARGS="--only NAME", --short, --help)
	@tools/preflight.sh rust c++
	cargo build --release -p ddpm-server -p ddpm-tests --bins
	@"$${CARGO_TARGET_DIR:-target}/release/page-bench" $(ARGS)

bench-train: setup ## Measure training beside loops in PyTorch, in turns (ARGS=--help)
	@tools/preflight.sh rust c++
	cargo build --release -p ddpm-exporter
	@tools/setup.sh python tools/bench/requirements.txt
	python3 tools/bench/train.py $(ARGS)

seeds: setup ## Train on digits with five seeds, here and in PyTorch, and compare the results
	@tools/preflight.sh rust c++
	cargo build --release -p ddpm-exporter
	@tools/setup.sh python tools/bench/requirements.txt
	python3 tools/bench/seeds.py $(ARGS)

int8-quality: setup ## Train four networks with five seeds, and compare samples of their int8 graphs with fp32's (hours)
	@tools/preflight.sh rust c++
	cargo build --release -p ddpm-exporter
	python3 tools/bench/int8_quality.py $(ARGS)

agreement: setup ## Classify 256 samples of the embedded glyphs and compare with their labels
	@tools/preflight.sh rust c++
	cargo run --release -p ddpm-exporter --example glyph_agreement -- models/glyphs --out docs/pictures/glyphs.png

kills: setup ## Interrupt training fifty times at random, in five ways, and compare its bits
	@tools/preflight.sh rust c++
	cargo test -p ddpm-exporter --test killed -- --ignored --nocapture

quality: setup ## Measure sample quality against evaluations on the shipped models (an hour on two cores)
	@tools/preflight.sh rust c++
	tools/quality.sh

diffusers: setup ## Read our packages with Python's diffusers, onnxruntime and onnx (2.8 GB of PyTorch)
	@tools/preflight.sh rust c++
	cargo build --workspace --bins
	@tools/setup.sh python tests/python/diffusers.txt
	python3 tests/python/test_diffusers.py
	python3 tests/python/test_graphs.py

models: setup ## Train the embedded models again (hours on two cores)
	@tools/preflight.sh rust c++
	tools/train-models.sh

extractor: setup ## Train the small feature extractor of `ddpm-exporter eval` again (minutes)
	@tools/preflight.sh rust c++
	cargo run --release -p ddpm-exporter --example small_extractor

page-bundle: ## Build the page's bundle of connect-web and protobuf again and compare (needs node and npm)
	@tools/page_bundle.sh --check

gallery: setup-server ## Draw docs/pictures of page, terminal and notebook again (ARGS="--only page.png", --help)
	@tools/preflight.sh rust c++
	cargo build --release -p ddpm-server -p ddpm-client -p ddpm-tests --bins
	@"$${CARGO_TARGET_DIR:-target}/release/gallery" $(ARGS)

dist: setup ## Make dist/, a folder to copy to a machine without Rust or network
	@tools/preflight.sh rust c++
	cargo build --release --workspace --bins
	@python3 tools/dist.py

gpu-kit: setup ## Pack what checks and measures on a GPU elsewhere (ARGS="--arch 80", DEVICE=cpu)
	@tools/preflight.sh rust c++
	cargo build --release --workspace --bins
	@python3 tools/gpu_kit.py $(ARGS)

clean: ## Remove build outputs, demo/, dist/ and gpu-kit/; keep downloads and trained runs
	cargo clean
	rm -rf demo dist gpu-kit
