//! In: the programs of an image's layers, its platform. Out: whether what it starts, and what else it holds, can run there (decision 15). Never: a download, a verdict on what was not seen.
//!
//! [`check`] is the check of a build: it knows the layers made by it, and of a base what is stored anyway. [`verify`]
//! looks at every layer of any image. Both judge by [`whole`].

mod check;
pub mod verify;
mod whole;

pub use check::ArchCheck;
pub use whole::{Entrypoint, Foreign, Is, Part};

/// Names of a list that are said.
const NAMES_SHOWN_MAX: usize = 3;

/// `/a, /b, /c and 4 more`
fn names(paths: &[String]) -> String {
    let shown = paths.iter().take(NAMES_SHOWN_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
