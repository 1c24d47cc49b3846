//! In: the words behind `context`. Out: their flags, as typed. Never: a meaning.

use clap::{Args, Subcommand};

/// `context …`
#[derive(Debug, Subcommand)]
pub enum ContextVerb {
    /// Show what of a directory a build sees
    Ls(ContextLsArgs),
}

/// `context ls`
#[derive(Debug, Args)]
pub struct ContextLsArgs {
    /// Build context: a directory
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: String,
    /// Dockerfile, whose own ignore file counts (default: PATH/Dockerfile)
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<String>,
    /// Say which pattern hides or shows this path of the context
    #[arg(long, value_name = "PATH")]
    pub why: Option<String>,
    /// Show the largest files only, this many
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
}
