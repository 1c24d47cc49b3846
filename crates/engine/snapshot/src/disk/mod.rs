//! In: directories of this machine that hold layers or trees. Out: facts, merged views, copies, removal. Never: a path followed out of its root, a mount.

mod content;
mod layers;
mod materialise;
mod object;
mod place;
mod remove;
mod walk;

pub use layers::{Found, Layers, Merged};
pub use materialise::{How, MaterialiseError, materialise};
pub use object::{Object, ObjectKind, is_layer_xattr, is_overlay_xattr};
pub use place::{IdPolicy, LeftOut, Tally};
pub use remove::remove_tree;
pub use walk::{Usage, usage};

pub(crate) use content::{ContentWriter, copy_content, same_content};
pub(crate) use layers::{child, open_root};
pub(crate) use materialise::{node_kind, set_times_within, target_of};
pub(crate) use object::{
    is_empty_dir, layer_xattrs, link_text, names, open_dir, open_file, stat, stat_fd, xattr, xattrs_where,
};
pub(crate) use place::{Facts, NodeKind, PlaceError, Placer, Within};
pub(crate) use remove::remove_at;
pub(crate) use walk::{Step, Walk};

/// How a directory writes down what lower layers may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As overlayfs reads and writes its upper directory: whiteouts are character devices 0:0, opaque directories carry an attribute.
    Overlay {
        /// The attribute is `user.overlay.opaque` (in user namespaces) instead of `trusted.overlay.opaque`.
        userxattr: bool,
    },
    /// A complete tree: nothing lies below, nothing is hidden.
    Plain,
}

impl Format {
    /// The attribute that makes a directory opaque, if the format has one.
    pub fn opaque_name(self) -> Option<&'static str> {
        match self {
            Self::Overlay { userxattr: true } => Some("user.overlay.opaque"),
            Self::Overlay { userxattr: false } => Some("trusted.overlay.opaque"),
            Self::Plain => None,
        }
    }
}

#[cfg(test)]
mod tests;
