//! In: buildx's state directory and our own beside it. Out: builders and their nodes, made, chosen, listed, removed. Never: a build; a file real buildx cannot read.
//!
//! `builders` starts nothing and builds nothing: it says which builder is meant ([`resolve`](fn@resolve::resolve)) and shows what
//! there is ([`view`]). Builders of the drivers buildx knows live in buildx's own files (spec/cli.md §6); those of driver
//! `embedded`, which buildx does not know, in files of the same form in the directory `crossdock` beside them.

pub mod error;
pub mod group;
pub mod name;
pub mod options;
pub mod store;
pub mod world;

pub mod create;
pub mod remove;
pub mod resolve;

pub mod inspect;
pub mod list;
pub mod view;

mod columns;
mod platforms;
mod words;

pub use create::{Create, Created, Leave};
pub use error::BuildersError;
pub use group::{Driver, Group, Node};
pub use resolve::Resolved;
pub use store::{Side, Store, Txn};
pub use world::{Engines, Presence, Sockets, World};
