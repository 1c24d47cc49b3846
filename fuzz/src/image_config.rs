//! In: any bytes as an image config. Out: nothing. Never: a panic, a fact lost when it is written again.

use bytes::Bytes;
use crossdock_oci::{BlobDigest, ImageConfig};

/// Reads a config, its platform, and what comes of writing it.
pub fn run(bytes: &[u8]) {
    let Ok(config) = ImageConfig::parse(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(config.digest(), BlobDigest::of(bytes));
    let _ = config.view.platform();
    let written = ImageConfig::write(config.view.clone());
    let again = ImageConfig::parse(written.raw.clone()).expect("a config reads what it wrote");
    assert_eq!(again.view, config.view);
}
