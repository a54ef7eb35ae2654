# Two commands do everything: `make demo` builds and boots an image, `make check` runs every check.
# `make help` lists the rest.

SHELL := /bin/bash
CARGO ?= cargo
TARGET := $(shell $(CARGO) -vV | sed -n 's/^host: //p')
BINARY := target/$(TARGET)/release/osbuild
RECIPE ?= samples/debian.yaml
OUTPUT ?= out
# Where packages come from, on a host that is not of the recipe's distribution.
MIRROR ?=
KEYRING ?=
REPOSITORY := $(if $(MIRROR),--mirror $(MIRROR)) $(if $(KEYRING),--keyring $(KEYRING))
# Building keeps file owners, so it needs root; compiling does not.
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

export OSBUILD_BINARY := $(abspath $(BINARY))

.PHONY: help demo check build lint unit system setup setup-check bench

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1 — \2/p' $(MAKEFILE_LIST)

setup: ## install what building and booting an image needs
	scripts/setup.sh demo

setup-check: ## install what the tests need as well
	scripts/setup.sh check

build: ## build the static program
	$(CARGO) build --release --package osbuild

demo: setup build ## install, build osbuild, build samples/debian.yaml, boot it to the login prompt
	$(AS_ROOT) $(BINARY) build $(RECIPE) --output $(OUTPUT) $(REPOSITORY)
	scripts/boot-image.sh $(OUTPUT)/debian.qcow2

lint: ## formatting, lints and the generated files
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) xtask check
	shellcheck scripts/*.sh benches/*.sh

unit: ## tests that need nothing but cargo, and the privileged ones where they can run
	$(CARGO) test --workspace --exclude osbuild-system-tests

system: build ## real builds in a real sandbox, and the boot test (root)
	$(CARGO) test --package osbuild-system-tests

check: setup-check lint unit system ## install, then format, lint and run every test

bench: build ## measure against the hand-made script (root, network to the configured mirror)
	benches/image.sh
