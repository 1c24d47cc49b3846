//! In: bytes of libFuzzer. Out: nothing. Never: a meaning of its own; that is in `src/registry_config_toml.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| crossdock_fuzz::registry_config_toml::run(bytes));
