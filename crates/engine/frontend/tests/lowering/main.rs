//! In: Dockerfiles, written and random, and a toy bridge. Out: whether they are lowered as they should be. Never: an engine, a registry, a step run.

#![allow(clippy::unwrap_used, reason = "a test crate: clippy sees only functions marked as tests")]

mod calls;
mod cases;
mod projects;
mod properties;
mod toy;
