#!/bin/sh
# rustc for the suite's own crates while they are fuzzed (RUSTC_WORKSPACE_WRAPPER): what cargo-fuzz asks for, without the
# sanitizers, which need a nightly compiler. https://github.com/rust-fuzz/cargo-fuzz
exec "$@" \
    -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1
