//! In: bytes of libFuzzer. Out: nothing. Never: a meaning of its own; that is in `src/copy_sources.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crossdock_fuzz::copy_sources::run(bytes));
