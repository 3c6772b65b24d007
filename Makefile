# The commands of this project. `make run` and `make test` are all that a fresh machine needs.
# SERVE=0 ends `make run` after the proof; DIR and SIP_TLS choose its folder and address.

DIR ?= hushbox-data
SIP_TLS ?= 127.0.0.1:5061
SERVE ?= 1
BUILD_NEEDS = cmake:cmake cc:gcc c++:g++ make:make
TEST_NEEDS = baresip:baresip tcpdump:tcpdump sipp:sip-tester stunnel4:stunnel4 kamailio:kamailio \
    /etc/kamailio/tls.cfg:kamailio-tls-modules

.PHONY: run build test lint bench campaign prompts clean help

help:
	@echo "make run       build, start a trial server, prove it with one call, keep serving (SERVE=0: end then)"
	@echo "make test      install what the tests need and run them all"
	@echo "make lint      formatting, clippy, docs: warnings are errors"
	@echo "make bench     figures: messages read and written beside another library, calls, recordings and refusals on one core"
	@echo "make campaign  what takes too long for CI: 100 kills, dependency rules, fuzzing"
	@echo "make prompts   make the spoken prompts anew from config/prompts/en.toml"

build:
	@scripts/need $(BUILD_NEEDS)
	cargo build --workspace --bins --locked

run: build
	@scripts/run --dir "$(DIR)" --sip-tls "$(SIP_TLS)" --serve "$(SERVE)"

# Tests over real sockets mostly wait, hence more of them at once than there are cores.
test:
	@scripts/need $(BUILD_NEEDS) $(TEST_NEEDS)
	@scripts/make-prompts --check
	cargo build --workspace --bins --locked
	RUST_TEST_THREADS=8 cargo test --workspace --locked --no-fail-fast

lint:
	@scripts/need $(BUILD_NEEDS)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Optimised, unlike everything else: it prints figures and judges nothing.
bench:
	@scripts/need $(BUILD_NEEDS) taskset:util-linux
	cargo bench -p hushbox-benches --locked
	cargo build --release --workspace --bins --locked
	@scripts/measure

campaign: build
	@scripts/campaign

prompts:
	@scripts/need flite:flite sox:sox opusenc:opus-tools
	@scripts/make-prompts

clean:
	cargo clean
