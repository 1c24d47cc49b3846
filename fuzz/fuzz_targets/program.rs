//! In: bytes of libFuzzer. Out: nothing. Never: a meaning of its own; that is in `src/program.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crossdock_fuzz::program::run(bytes));
