//! In: a parsed Dockerfile, and findings of the frontend. Out: the checks by name, what they say, and which of them count. Never: a check decided here that needs an image or a variable's value.
//!
//! Names, texts and addresses are those of spec/dockerfile.md §11.

mod config;
mod of_file;
pub mod rules;

pub use config::{CheckConfig, CheckError};
pub use of_file::findings_of_file;
pub use rules::{Finding, Rule};

#[cfg(test)]
mod tests;
