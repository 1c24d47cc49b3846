//! In: what a vertex made. Out: a value that is cheap to pass on. Never: bytes; a result is lazy (decision 3).

use std::sync::Arc;

use crossdock_image::LayerId;
use crossdock_source::local::ContextTree;
use serde::{Deserialize, Serialize};

/// The result of a vertex.
#[derive(Clone)]
pub enum Output {
    /// Layers, lowest first; none of them means an empty tree.
    Layers(Arc<Vec<LayerId>>),
    /// A directory of the user, read in place.
    Local(Arc<ContextTree>),
}

impl std::fmt::Debug for Output {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Layers(layers) => write!(out, "Layers({layers:?})"),
            Self::Local(_) => out.write_str("Local"),
        }
    }
}

impl Output {
    /// A result of these layers.
    pub fn layers(layers: Vec<LayerId>) -> Self {
        Self::Layers(Arc::new(layers))
    }
}

/// A result as a record keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredOutput {
    pub layers: Vec<LayerId>,
}
