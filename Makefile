# Patchbay: every routine task. `make` lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# A real data file for the demo, for example: make demo DATA=orders.csv
DATA ?=
# Arguments of `make bench`, `make faults` and `make dev`, for example: make bench ARGS="--only drain"
ARGS ?=

.PHONY: help setup demo dev build test fmt lint unit openapi advisories bench faults

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install what tests and benchmarks need (quick when it is there)
	@scripts/setup

demo: ## Build, start on SQLite with a sandbox Square, connect, sync (DATA=file.csv: real orders)
	@scripts/demo $(DATA)

dev: ## Run the embedded product from this tree (ARGS="--help" for its flags)
	cargo run --package patchbay -- up $(ARGS)

build: ## Build the release binary: target/release/patchbay
	cargo build --release --package patchbay

test: setup lint unit ## Everything CI checks: format, lints, dependencies, tests

fmt: ## Format the tree
	cargo fmt --all

lint: ## Check format, lints, and licences, bans and sources of dependencies
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- --deny warnings
	cargo deny --log-level error check licenses bans sources

unit: ## Build all, run documentation tests, then all tests against real PostgreSQL and Redis
	cargo build --workspace --all-targets --quiet
	cargo test --workspace --doc --quiet
	PATCHBAY_TEST_BINARY=fresh cargo nextest run --workspace

openapi: ## Write docs/openapi.json anew from the handlers
	UPDATE=1 cargo test --quiet --package patchbay-api --test api -- document

advisories: ## Check dependencies for known vulnerabilities (fetches the RustSec database)
	cargo deny check advisories

bench: ## Run the benchmarks beside their peers (ARGS="--only NAME" for one)
	cargo run --release --package patchbay-bench -- $(ARGS)

faults: ## Kill, stop and starve the product, 40 min (ARGS="--short", "--only zombie", "--seeded")
	cargo build --workspace --quiet
	target/debug/patchbay-faults $(ARGS)
