//! In: the words behind `verify`. Out: its flags, as typed. Never: a meaning.

use clap::Args;

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Image: a name, or the digest of one kept here
    #[arg(value_name = "REF")]
    pub image: String,
    /// Look at these platforms only (default: all of them)
    #[arg(long = "platform", value_name = "PLATFORM")]
    pub platforms: Vec<String>,
    /// Form of the answer: table or json
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: String,
}
