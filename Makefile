# Two commands do everything: `make demo` builds and boots an image, `make check` runs every check.
# `make help` lists the rest.

SHELL := /bin/bash
# The job server of `make` is not for programs that are no `make`.
CARGO ?= env -u MAKEFLAGS cargo
# What `cargo clippy` does, but with the tests compiled rather than checked: to do both takes minutes longer.
LINTING_CARGO := $(CARGO:cargo=RUSTC_WORKSPACE_WRAPPER=clippy-driver CLIPPY_ARGS=--deny=warnings__CLIPPY_HACKERY__ cargo)
CARGO_OF_TESTS ?= $(CARGO)
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

# Where `make install` puts things. The library directory is where callers of osbuild look for it.
DESTDIR ?=
PREFIX ?= /usr
BINDIR = $(DESTDIR)$(PREFIX)/bin
LIBDIR = $(DESTDIR)$(PREFIX)/lib/osbuild
SHAREDIR = $(DESTDIR)$(PREFIX)/share
# What packages are called: upstream's version that this one stands in for, then our own.
VERSION := 191+$(shell sed -nE '/^\[workspace.package\]/,/^\[/ s/^version = "(.*)"/\1/p' Cargo.toml)

# All test programs of tests/system.
SYSTEM_TESTS := $(patsubst tests/system/tests/%,%,$(basename $(wildcard tests/system/tests/*.rs)) \
	$(patsubst %/main.rs,%,$(wildcard tests/system/tests/*/main.rs)))

export OSBUILD_BINARY := $(abspath $(BINARY))

.PHONY: help demo check build lint formatting unit lint-and-unit system conformance setup setup-check bench install deb rpm

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

lint: formatting ## formatting, lints and the generated files
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) xtask check

formatting:
	$(CARGO) fmt --all --check
	shellcheck scripts/*.sh benches/*.sh

unit: ## tests that need nothing but cargo, and the privileged ones where they can run
	$(CARGO_OF_TESTS) test --workspace --exclude osbuild-system-tests --no-fail-fast

system: build ## real builds in a real sandbox, and the boot test (root)
	@# Chosen from the whole workspace, for what was compiled for "unit" to be used again.
	$(CARGO_OF_TESTS) test --workspace --no-fail-fast $(foreach test,$(SYSTEM_TESTS),--test $(test))

# What "lint" says, with the tests compiled by the way; what `xtask check` does is among the tests.
# One step after the other: all compile in the same directory.
lint-and-unit: formatting
	$(CARGO_OF_TESTS) test --workspace --no-run
	$(MAKE) unit

conformance: build ## compare with upstream: its checkout in OSBUILD_UPSTREAM (root; Python with jsonschema, iniparse)
	$(CARGO) test --package osbuild-conformance-tests -- --include-ignored

check: setup-check ## install, then format, lint and run every test
	@# The program for "system" is compiled where the tests leave a core idle.
	$(MAKE) --jobs=2 CARGO_OF_TESTS='$(LINTING_CARGO)' lint-and-unit build
	$(MAKE) CARGO_OF_TESTS='$(LINTING_CARGO)' system

bench: build ## measure against the hand-made script (root, network to the configured mirror)
	benches/image.sh

install: ## install what `make build` made: program, modules, man pages, completions (DESTDIR, PREFIX)
	install -D -m 755 $(BINARY) $(BINDIR)/osbuild
	for name in tree-diff osbuild-image-info image-info; do ln -sf osbuild $(BINDIR)/$$name; done
	$(BINDIR)/osbuild modules export --link $(LIBDIR)
	$(BINDIR)/osbuild man-pages $(SHAREDIR)/man/man1
	install -d $(SHAREDIR)/bash-completion/completions $(SHAREDIR)/zsh/site-functions $(SHAREDIR)/fish/vendor_completions.d
	$(BINDIR)/osbuild completions bash >$(SHAREDIR)/bash-completion/completions/osbuild
	$(BINDIR)/osbuild completions zsh >$(SHAREDIR)/zsh/site-functions/_osbuild
	$(BINDIR)/osbuild completions fish >$(SHAREDIR)/fish/vendor_completions.d/osbuild.fish

deb: ## package what `make build` made for Debian, as target/packages/*.deb
	scripts/package.sh deb $(BINARY) $(VERSION)

rpm: ## package what `make build` made for RPM distributions, as target/packages/*.rpm
	scripts/package.sh rpm $(BINARY) $(VERSION)
