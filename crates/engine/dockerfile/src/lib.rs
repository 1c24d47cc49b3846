//! In: the text of a Dockerfile or an ignore file. Out: instructions, stages, expansions, matches, findings. Never: opens a file, knows an image, a platform or the graph.
//!
//! The entry is [`Dockerfile::parse`]. Text is bounded by the limits in [`limits`]; no input makes this room panic, and
//! every error names the lines it is about. Grammar and texts follow spec/dockerfile.md §1, §2, §6, §11 and §12.

pub mod check;
pub mod csv;
pub mod error;
pub mod excerpt;
pub mod expand;
pub mod ignore;
pub mod instruction;
pub mod limits;
pub mod mount;
pub mod stage;
pub mod suggest;

mod directive;
mod duration;
mod flags;
mod heredoc;
mod json;
mod lex;
mod parse;
mod pattern;
mod split;

pub use check::{CheckConfig, Finding, Rule};
pub use directive::{Directive, DirectiveKey, detect_syntax};
pub use error::{LineRange, ParseError, ParseErrorKind};
pub use expand::{ExpandError, Expander, Expansion, Variables};
pub use heredoc::{Heredoc, is_single_heredoc};
pub use instruction::{
    Add, ArgDefinition, Command, CommandLine, Copy, Device, Healthcheck, InlineFile, Instruction, KeyValue, Onbuild,
    Run, RunNetwork, RunSecurity, SourcesAndDest,
};
pub use mount::{Mount, MountError, MountSpec, MountType, Sharing};
pub use parse::parse_trigger;
pub use stage::{Dockerfile, Stage, StageError};
