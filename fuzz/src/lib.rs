//! In: any bytes. Out: nothing. Never: a panic, a hang, unbounded memory, a broken promise of the parser.
//!
//! One module for each parser that meets bytes of strangers. libFuzzer feeds them through `fuzz_targets/`, the tests
//! of every day through a replay of `corpus/` and of mutations of it.

pub mod engine_answer;
pub mod expand;
pub mod git_url;
pub mod gotemplate;
pub mod heredoc;
pub mod ignore;
pub mod image_config;
pub mod lex;
pub mod listing_decode;
pub mod manifest;
pub mod reference;
pub mod registry_config_toml;
pub mod tar_reader;
pub mod www_authenticate;

/// A target: its name, which is that of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 14] = [
    ("lex", lex::run),
    ("expand", expand::run),
    ("ignore", ignore::run),
    ("heredoc", heredoc::run),
    ("tar_reader", tar_reader::run),
    ("listing_decode", listing_decode::run),
    ("git_url", git_url::run),
    ("reference", reference::run),
    ("manifest", manifest::run),
    ("image_config", image_config::run),
    ("registry_config_toml", registry_config_toml::run),
    ("www_authenticate", www_authenticate::run),
    ("gotemplate", gotemplate::run),
    ("engine_answer", engine_answer::run),
];
