//! In: an image of a store. Out: its config and every entry of its layers as lines. Never: an entry left out.

use crossdock_content::Store;
use crossdock_oci::{BlobDigest, ImageConfig, Manifest};
use crossdock_snapshot::{compression, listing};

/// Largest document of an image, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// Lines without times, and lines with them.
pub fn of(store: &Store, manifest: BlobDigest) -> (Vec<String>, Vec<String>) {
    let document = |digest| store.read(digest, DOCUMENT_BYTES_MAX).unwrap().expect("the image was just kept");
    let manifest = Manifest::parse(document(manifest)).unwrap().view;
    let mut config = ImageConfig::parse(document(manifest.config.digest)).unwrap().view;
    let (mut lines, mut times) = (Vec::new(), vec![format!("{:?}", config.created)]);
    config.created = None;
    // Digests of layers have times in them; their entries follow.
    config.rootfs.diff_ids.clear();
    for step in &mut config.history {
        times.push(format!("{:?} {}", step.created.take(), step.created_by));
        lines.push(format!("{step:?}"));
    }
    config.history.clear();
    lines.push(format!("{config:?}"));
    for (number, layer) in manifest.layers.iter().enumerate() {
        let file = store.open_blob(layer.digest).unwrap().expect("the layer was just kept").file;
        let scan = listing::from_tar(compression::decoder(Box::new(file)).unwrap()).unwrap();
        for item in scan.listing.entries() {
            let entry = &item.entry;
            lines.push(format!(
                "layer {number}: {} {:?} {:o} {}:{} {:?} {:?} {}",
                entry.path, entry.kind, entry.mode, entry.uid, entry.gid, entry.xattrs, item.content, item.link_group
            ));
            times.push(format!("layer {number}: {} {:?}", entry.path, entry.mtime));
        }
        lines.extend(scan.listing.whiteouts().iter().map(|path| format!("layer {number}: whiteout {path}")));
        lines.extend(scan.listing.opaques().iter().map(|path| format!("layer {number}: opaque {path}")));
    }
    (lines, times)
}

/// What only one of them has, the first lines of it.
pub fn difference(left: &[String], right: &[String]) -> String {
    let only = |mark: &str, these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).take(12).map(|line| format!("{mark} {line}")).collect()
    };
    let lines = [only("<", left, right), only(">", right, left)].concat();
    if lines.is_empty() {
        "the same lines in another order, or other bytes of the tars".to_owned()
    } else {
        format!("\n{}", lines.join("\n"))
    }
}
