# The same verbs for a person and for CI. `make` alone lists them.

SHELL := /bin/bash
CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/penstock/target
export CARGO_TARGET_DIR
export PATH := $(HOME)/.cargo/bin:$(PATH)

.PHONY: help setup build run test test-full bench image boot boot-test image-test clean

help: ## List these verbs
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## Install what is missing on this Debian 12 machine (as root)
	@.ci/setup

build: ## Build everything in release
	@console=$$(.ci/console) && PENSTOCK_CONSOLE_DIR=$$console cargo build --release --locked --workspace

run: setup build ## Run the appliance in a lab on this machine until Ctrl-C (as root; DRIVER=af_packet, OFFLOAD=off)
	@exec "$$CARGO_TARGET_DIR/release/penstock-lab"

test: setup ## Check and test everything (as root); ends with "N passed, N failed"
	@.ci/test

test-full: setup ## The same, with the tests that take time to measure
	@.ci/test --include-ignored

bench: setup ## Measure the forwarder, the proxy beside HAProxy and nginx, ten thousand checks, and the console in a browser (as root)
	@cargo build --profile dist --locked -p lb-l4 -p lb-l7
	@"$$CARGO_TARGET_DIR/dist/penstock-l4" bench
	@"$$CARGO_TARGET_DIR/dist/penstock-l4" bench --rounds 5 testpmd
	@dataplane/l7/bench/run "$$CARGO_TARGET_DIR/dist"
	@cargo test --release --locked --quiet -p lb-l7 --test balancing -- --ignored --nocapture
	@cargo test --release --locked --quiet -p lb-server -- --ignored --nocapture --test-threads 1 ten_thousand_checks
	@console=$$(.ci/console) && export PENSTOCK_CONSOLE_DIR=$$console && cargo build --release --locked --quiet --workspace && \
		cargo test --release --locked --quiet -p api-tests --test console -- --ignored --nocapture the_console_is_measured

# What is shipped is built with optimisation across crates: it takes minutes more, and a fifth less of the proxy's processor time.
# `make test` boots what it has tested: PROFILE=release.
PROFILE ?= dist
image boot boot-test image-test: export PENSTOCK_PROGRAMS = $(CARGO_TARGET_DIR)/$(PROFILE)

image: setup ## Build the bootable image in all formats, and the update (as root; FORMATS="qcow2 ova" for some)
	@console=$$(.ci/console) && PENSTOCK_CONSOLE_DIR=$$console cargo build --profile $(PROFILE) --locked --workspace
	@image-build/setup
	@image-build/build "$$CARGO_TARGET_DIR/image" $(FORMATS)

boot: FORMATS = qcow2
boot: image ## Boot the image in QEMU, its console here
	@exec image-build/boot "$$CARGO_TARGET_DIR/image/penstock.qcow2"

boot-test: FORMATS = qcow2
boot-test: image ## Boot the image in QEMU, claim it, balance HTTP through it (as root)
	@exec image-build/tests/boot "$$CARGO_TARGET_DIR/image/penstock.qcow2"

image-test: image ## Boot it in every way, look at every format, update it rightly and wrongly (as root; an hour)
	@exec image-build/tests/all "$$CARGO_TARGET_DIR/image"

clean: ## Remove what was built
	@rm -rf "$$CARGO_TARGET_DIR"
