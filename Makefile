# Everything a newcomer types. Each target installs what it needs, says what it does, asks nothing.
SHELL := /bin/bash
CACHE := $(or $(PORTGATE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/portgate)
export CARGO_TARGET_DIR ?= $(CACHE)/target
export PORTGATE_SHARED ?= $(abspath ../shared)

.PHONY: help run test soak bench lint build package scenarios

help:
	@echo 'make run    build and start the gate with a demonstration site; prints its address'
	@echo 'make test   build and run every test (Kafka broker, Prometheus, browser included)'
	@echo 'make soak   10,000 simulated worlds and the planted bugs (SEEDS, FROM, MINUTES), write tests/simulation/soak.json'
	@echo 'make bench  run the benchmarks, write bench/results.json (SCALE=10m: with ten million vehicles)'
	@echo 'make package  one archive that installs on a Debian machine without any network'
	@echo 'make lint   formatting, clippy, licences and sources of dependencies'

build:
	@scripts/setup.sh run
	@echo 'build: release binary (the first time takes about a quarter of an hour on two cores)'
	@cargo build --release --workspace --bins

run: build
	@exec $(CARGO_TARGET_DIR)/release/portgate up --demo --data $(or $(DATA),portgate-data)

test:
	@scripts/test.sh

soak:
	@scripts/soak.sh

bench:
	@scripts/setup.sh bench
	@PORTGATE_BENCH_SCALE=$(or $(SCALE),$(PORTGATE_BENCH_SCALE)) scripts/bench.sh

lint:
	@scripts/setup.sh lint
	@scripts/lint.sh

package:
	@scripts/package.sh
