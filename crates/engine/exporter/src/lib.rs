//! In: assembled images, trees as tars. Out: OCI layouts, Docker archives, directories, tars, pushed images. Never: a layer made here, a terminal, a build step.
//!
//! What is asked for with `--output` is read by [`spec`]; each way out has its file.

mod error;
pub mod files;
pub mod layout;
pub mod push;
pub mod spec;

pub use error::ExportError;
pub use spec::{Dest, OutputKind, OutputSpec, SpecError};
