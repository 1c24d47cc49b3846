//! In: any bytes as a manifest or an index. Out: nothing. Never: a panic, a digest that is not that of the bytes.

use bytes::Bytes;
use crossdock_oci::{BlobDigest, Index, Manifest, Platform, PlatformMatcher};

/// Reads the documents a registry may send.
pub fn run(bytes: &[u8]) {
    let raw = Bytes::copy_from_slice(bytes);
    if let Ok(manifest) = Manifest::parse(raw.clone()) {
        assert_eq!(manifest.digest(), BlobDigest::of(bytes));
        let written = Manifest::write(manifest.view.clone());
        let again = Manifest::parse(written.raw.clone()).expect("a manifest reads what it wrote");
        assert_eq!(again.view, manifest.view);
    }
    if let Ok(index) = Index::parse(raw) {
        assert_eq!(index.descriptor().digest, BlobDigest::of(bytes));
        let matcher = PlatformMatcher::new(&Platform::new("linux", "arm", "v7"));
        let chosen = index.choose(&matcher);
        assert!(chosen.is_none() || index.images().next().is_some());
        let written = Index::write(index.view.clone());
        let again = Index::parse(written.raw.clone()).expect("an index reads what it wrote");
        assert_eq!(again.view, index.view);
    }
}
