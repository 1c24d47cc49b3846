//! In: what to build and where it goes. Out: images kept, pushed, written; progress events. Never: a terminal, a command line, a policy that belongs to one room.
//!
//! Composition: the only room that knows all others of the engine. [`Engine`] opens the state directory and holds what
//! builds share; [`Build`] is one conversation: its frontend asks through `Bridge`, the solver decides what runs, and
//! the files of this room perform it.

mod architecture;
mod base;
mod bridge;
mod build;
mod clamp;
mod engine;
mod error;
mod exec;
mod export;
mod fetch;
mod fileop;
mod flight;
mod images;
mod layers;
mod locals;
mod mounts;
mod perform;
mod publish;
mod resolve;
mod result;
mod selection;
mod sources;
mod trees;
mod unpack;

pub use architecture::{ArchCheck, Entrypoint, Foreign, Is, Part, verify};
pub use build::{Build, BuildFailure, BuildReport, BuildRequest, LocalContexts};
pub use engine::{Engine, EngineOptions};
pub use error::{BuildError, StepFailure};
pub use export::{ExportRequest, ExportedImage};
pub use images::{
    ImageToRun, LoadError, LoadedImage, PreparedImage, PullReport, PullWord, PushWord, RunRequest, RunningImage,
    SaveReport, SaveWish, inherited_stdio,
};
pub use mounts::{Given, SecretSource};
pub use publish::Published;
pub use sources::Upload;
