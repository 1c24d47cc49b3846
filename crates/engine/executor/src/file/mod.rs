//! In: file ops (COPY, ADD, WORKDIR, heredocs, mkfile, rm, symlink) and the trees they work on. Out: one layer as a tar, its listing, its diffID. Never: a mount, a root privilege, a change of a directory on disk.
//!
//! Two phases. [`plan`] answers every question with metadata and digests that the trees know: where links of the destination
//! lead, which parents are missing, whose numbers a name in `/etc/passwd` has. Its [`LayerPlan`] has a [`RecipeDigest`], so
//! that a layer made before (for another platform, on another base) is found without reading a file. [`write()`] then
//! streams the bytes and proves each file to be the one the plan promised.
//!
//! The entries agree with what BuildKit's layers hold (spec/dockerfile.md §4); compared with the real one case by case.

mod archive;
mod content;
mod copy;
mod error;
mod layer;
mod make;
mod mode;
mod overlay;
mod owner;
mod patterns;
mod plan;
mod resolve;
mod transfer;
mod wildcard;
mod write;

#[cfg(test)]
mod tests;

pub use error::FileError;
pub use layer::{LayerPlan, RecipeDigest};
pub use owner::UnknownOwner;
pub use patterns::{PatternCompiler, PatternSet};
pub use plan::{PlanOptions, plan};
pub use write::{Written, write};
