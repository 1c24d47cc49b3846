//! In: bytes of libFuzzer. Out: nothing. Never: a meaning of its own; that is in `src/git_url.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crossdock_fuzz::git_url::run(bytes));
