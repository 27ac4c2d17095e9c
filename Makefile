# Every verb sets up what it needs by itself; `make setup` alone does only that.
.PHONY: setup demo test check bench docs
.DEFAULT_GOAL := check

setup:
	@scripts/setup

demo: setup
	@.venv/bin/python -m charkh.demo

test: setup
	@scripts/install-test-components postgresql strace chromium subversion mercurial git-lfs openssh-server skopeo prometheus prometheus-alertmanager || true
	@.venv/bin/python -m tests.peers || true
	@scripts/test

check: setup
	@scripts/check

bench: setup
	@scripts/install-test-components postgresql restic wrk || true
	@scripts/bench

docs: setup
	@scripts/docs
