//! In: options and a [`Bridge`]. Out: a graph and a config for each platform. Never: files, registries or processes, except through `Bridge`.
//!
//! The entry is [`build`]: it reads the Dockerfile, plans the stages of each platform (`plan`), resolves every base image
//! of every platform before any step (`resolve`), and lowers the target (`lower`). What the grammar knows but this
//! version does not execute ends in [`ErrorKind::NotYet`], with the line.

pub mod bridge;
pub mod call;
pub mod error;
pub mod options;
pub mod outcome;

mod arguments;
mod build;
mod context;
mod environment;
mod epoch;
mod go_text;
mod lower;
mod named;
mod plan;
mod read;
mod report;
mod resolve;
mod step_name;

pub use arguments::is_platform_argument;
pub use bridge::{
    Bridge, BridgeError, DirEntry, FileKind, FileStat, ImageRequest, RefId, ResolveMode, ResolvedImage, Warning,
};
pub use build::build;
pub use call::{Answer, Call, call};
pub use context::is_archive;
pub use error::{ErrorKind, FrontendError, MissingPlatform};
pub use go_text::duration as go_duration;
pub use named::key_of as context_key;
pub use options::{Entitlements, NoCache, Options};
pub use outcome::{BaseImage, BuildOutcome, IgnoreFile, PlatformImage, SourceFile};
