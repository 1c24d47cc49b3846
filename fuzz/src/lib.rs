//! In: any bytes. Out: nothing. Never: a panic, a hang, unbounded memory, a broken promise of the parser.
//!
//! One module for each parser that meets bytes of strangers. libFuzzer feeds them through `fuzz_targets/`, the tests
//! of every day through a replay of `corpus/` and of mutations of it.

pub mod expand;
pub mod heredoc;
pub mod ignore;
pub mod lex;
pub mod mounts;

// What needs more rooms than that of Dockerfiles.
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod copy_sources;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod engine_answer;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod git_url;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod gotemplate;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod image_config;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod listing_decode;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod manifest;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod program;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod reference;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod registry_config_toml;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod tar_reader;
#[cfg(any(feature = "rest", not(fuzzing)))]
pub mod www_authenticate;

/// A target: its name, which is that of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Texts of Dockerfiles and ignore files.
pub const DOCKERFILE: [Target; 5] = [
    ("lex", lex::run),
    ("expand", expand::run),
    ("ignore", ignore::run),
    ("heredoc", heredoc::run),
    ("mounts", mounts::run),
];

/// Archives and what is kept of them.
#[cfg(any(feature = "rest", not(fuzzing)))]
pub const LAYERS: [Target; 3] =
    [("tar_reader", tar_reader::run), ("listing_decode", listing_decode::run), ("program", program::run)];

/// Words, documents, headers.
#[cfg(any(feature = "rest", not(fuzzing)))]
pub const WORDS: [Target; 9] = [
    ("copy_sources", copy_sources::run),
    ("git_url", git_url::run),
    ("reference", reference::run),
    ("manifest", manifest::run),
    ("image_config", image_config::run),
    ("registry_config_toml", registry_config_toml::run),
    ("www_authenticate", www_authenticate::run),
    ("gotemplate", gotemplate::run),
    ("engine_answer", engine_answer::run),
];
