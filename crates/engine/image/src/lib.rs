//! In: layer tars, configs, descriptors. Out: compressed layer blobs, manifests, indexes, the local image store. Never: running anything, the network, a terminal.
//!
//! What an image is made of, from the layer's tar upwards: cutting and compressing it ([`compress`]), what is known
//! of each layer ([`layer`]), the documents that join layers into images ([`assemble`]), and the names under which
//! images are kept ([`local`]).

pub mod assemble;
pub mod chunk;
pub mod compress;
mod error;
pub mod layer;
pub mod local;
pub mod memory;

pub use assemble::{Annotations, AssembleOptions, AssembledImage, AssembledManifest, PlatformImage, assemble};
pub use compress::{Method, StoredLayer, compress_layer};
pub use error::ImageError;
pub use layer::{LayerBlob, LayerId, LayerRow, Layers};
pub use local::{ImageKind, ImageRow, Images, LocalImage};
