//! Lists of images by platform: `manifest …` and `imagetools …` over one model. This room never prints, and never moves a layer through this machine when the registry can mount it.
//!
//! In: sources (local images, OCI layouts, references, digests, descriptors, indexes). Out: lists in Docker's manifests
//! directory, indexes in registries, what registries hold in words. Never: a word of ours inside of Docker's files.
//!
//! A [`Source`] is found by a [`Library`] in a registry, in the local store or in a layout. [`Lists`] are those of
//! `docker manifest`, kept by [`DockerLists`] byte for byte as Docker's CLI 28 keeps them; [`combine`] makes the index
//! of `imagetools create`; [`show`] and [`details`] are the words of `imagetools inspect`.

pub mod combine;
pub mod details;
mod docker_dir;
mod docker_view;
mod error;
mod json_text;
mod library;
mod lists;
mod memory;
pub mod platform;
mod push;
pub mod show;
mod source;

pub use docker_dir::{DockerLists, ListEntry};
pub use error::ListError;
pub use library::{Found, Library, Place};
pub use lists::{Annotation, KnownList, Lists, PushState};
pub use push::{Pushing, bring};
pub use source::Source;

#[cfg(test)]
mod tests;
