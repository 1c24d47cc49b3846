//! In: layers (tars, diff directories). Out: entries, listings, trees, content hashes. Never: a network call, a write outside the directory or
//! sink it was given, a followed path out of a root, memory that grows with the size of a file.
//!
//! - no path leaves its root: every path is a [`RootedPath`];
//! - no hostile tar makes it panic, hang or exceed the limits named in [`tar`];
//! - nothing here knows a registry, a Dockerfile or a sandbox.

pub mod apply;
pub mod compression;
pub mod content_hash;
pub mod diff;
pub mod disk;
pub mod entry;
pub mod export;
pub mod glob;
pub mod listing;
pub mod path;
pub mod program;
pub mod snapshotter;
pub mod tar;
pub mod tree;

pub use entry::{Entry, EntryKind, Mtime, Xattrs};
pub use path::{PathError, RootedPath};
pub use tree::{Node, Tree, TreeError};
