//! In: layers in every method, with any number of threads, with and without a memory. Out: the law that the same tar gives the same blob, which others can read. Never: a digest that changes unnoticed.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test file: clippy sees only functions marked as tests")]

use std::io::{Read, Write as _};
use std::process::{Command, Stdio};

use crossdock_content::Store;
use crossdock_image::{
    Annotations, AssembleOptions, Method, PlatformImage, StoredLayer, assemble, assemble::ImageLayer, compress_layer,
};
use crossdock_oci::media_type::{Compression, Family};
use crossdock_oci::{BlobDigest, Descriptor, History, ImageConfigView, Platform, Timestamp};
use crossdock_snapshot::tar::Writer;
use crossdock_snapshot::{Entry, RootedPath};
use proptest::prelude::{ProptestConfig, any, proptest};
use tempfile::TempDir;

/// Bytes of the tar whose digests are written down below.
const GOLDEN_SEED: u64 = 7;

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

/// A tar of some megabytes: small files, one that is larger than a chunk, text that compresses and bytes that do not.
fn tar(seed: u64, changed: Option<usize>) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut writer = Writer::new(Vec::new());
    for file in 0..120_usize {
        let size = if file == 60 { 5 << 20 } else { numbers.next() as usize % 40_000 };
        let noise = file % 3 == 0;
        let mut bytes: Vec<u8> = Vec::with_capacity(size);
        while bytes.len() < size {
            let number = numbers.next();
            if noise {
                bytes.extend(number.to_le_bytes());
            } else {
                bytes.extend(format!("line {}\n", number % 1000).bytes());
            }
        }
        bytes.truncate(size);
        if changed == Some(file) {
            bytes.insert(size / 2, b'!');
        }
        let path = RootedPath::parse(format!("dir{}/file{file}", file % 7)).unwrap();
        writer.append(&Entry::file(path, bytes.len() as u64, 0o644), &mut &bytes[..]).unwrap();
    }
    writer.finish().unwrap()
}

fn method(compression: Compression, level: i32) -> Method {
    Method::new(compression, Some(level)).unwrap()
}

fn store() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn compress(store: &Store, tar: &[u8], method: Method, threads: usize) -> StoredLayer {
    let lease = store.lease().unwrap();
    compress_layer(store, &lease, &mut &tar[..], method, threads).unwrap()
}

fn blob(store: &Store, digest: BlobDigest) -> Vec<u8> {
    store.read(digest, u64::MAX).unwrap().expect("the layer is stored").to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_depend_on_the_tar_alone(seed in any::<u64>(), changed in 0_usize..120) {
        let (bytes, other) = (tar(seed, None), tar(seed, Some(changed)));
        for method in [method(Compression::Gzip, 1), method(Compression::Zstd, 3), method(Compression::Uncompressed, 0)] {
            let (_dir, cold) = store();
            let want = compress(&cold, &bytes, method, 1);
            for threads in [2, 4] {
                let (_dir, store) = store();
                assert_eq!(compress(&store, &bytes, method, threads), want);
            }
            // With a memory of these chunks, and with one of chunks of which most are the same.
            assert_eq!(compress(&cold, &bytes, method, 2), want);
            let (_dir, warm) = store();
            let neighbour = compress(&warm, &other, method, 2);
            assert_ne!(neighbour.digest, want.digest);
            assert_eq!(compress(&warm, &bytes, method, 3), want);
        }
    }
}

/// An update of libdeflate or zstd that writes other bytes gives every layer another digest: it must raise
/// `FORMAT_VERSION`, so that stored layers are not taken for those of the new one, and stand in the change log.
#[test]
fn compressors_write_the_bytes_they_always_wrote() {
    let bytes = tar(GOLDEN_SEED, None);
    let golden = [
        (method(Compression::Gzip, 1), "0f723dcc534b81cef67626bf83f756b7a0735465cd43fe7423927e01193f1a64"),
        (method(Compression::Gzip, 6), "3b443e72897161cf80cb7d24c5684a0883fca3e913d97d58ece6828d7a535e23"),
        (method(Compression::Gzip, 9), "23e00f6ef39f99f428f127053f11ed6d8bd96072af611c67dc5f3c4edbbc19c3"),
        (method(Compression::Zstd, 3), "82018b9e1cc7db8f9140e88c16d5d0fb14f66b330f53a5b46f098f46b2585eba"),
        (method(Compression::Uncompressed, 0), "c0ed2ff226439ae017c41ae7daac718b1e05f143d9dcf315adbfb288870d6855"),
    ];
    let (_dir, store) = store();
    let found = golden.map(|(method, _)| compress(&store, &bytes, method, 2).digest.hex().to_owned());
    assert_eq!(found, golden.map(|(_, digest)| digest.to_owned()));
}

#[test]
fn others_read_what_is_written() {
    let bytes = tar(3, None);
    let (_dir, store) = store();
    let gzip = blob(&store, compress(&store, &bytes, method(Compression::Gzip, 6), 2).digest);
    let mut read = Vec::new();
    flate2::read::MultiGzDecoder::new(&gzip[..]).read_to_end(&mut read).unwrap();
    assert!(read == bytes, "flate2");
    let zstd = blob(&store, compress(&store, &bytes, method(Compression::Zstd, 3), 2).digest);
    assert!(zstd::decode_all(&zstd[..]).unwrap() == bytes, "zstd");
    for (program, packed) in [("gzip", gzip), ("zstd", zstd)] {
        match decode_with(program, packed) {
            Some(read) => assert!(read == bytes, "{program} -dc"),
            None => println!("skipped: {program} is not installed"),
        }
    }
}

/// What `PROGRAM -dc` makes of the bytes; none when there is no such program.
fn decode_with(program: &str, packed: Vec<u8>) -> Option<Vec<u8>> {
    let mut child = Command::new(program).arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    let mut input = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || input.write_all(&packed));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    assert!(output.status.success(), "{program}: {}", output.status);
    Some(output.stdout)
}

#[test]
fn the_same_parts_give_the_same_image() {
    let assembled = || {
        let (_dir, store) = store();
        let lease = store.lease().unwrap();
        let layer = compress(&store, &tar(1, None), method(Compression::Gzip, 1), 2);
        let descriptor = Descriptor::new(Family::Oci.layer(Compression::Gzip).to_owned(), layer.digest, layer.size);
        let entry =
            |text: &str, empty_layer| History { created_by: text.to_owned(), empty_layer, ..History::default() };
        let config =
            ImageConfigView { history: vec![entry("COPY", false), entry("CMD", true)], ..ImageConfigView::default() };
        let images = ["amd64", "arm64"].map(|architecture| PlatformImage {
            platform: Platform::new("linux", architecture, ""),
            config: config.clone(),
            layers: vec![ImageLayer {
                descriptor: descriptor.clone(),
                diff_id: layer.diff_id,
                created: Timestamp::from_seconds(1_700_000_000),
            }],
        });
        let mut annotations = Annotations::default();
        annotations.index.extend(["z", "a"].map(|key| (key.to_owned(), "1".to_owned())));
        annotations.manifest.push((None, "b".to_owned(), "2".to_owned()));
        let options = AssembleOptions { family: Family::Oci, annotations, epoch: None, force_index: false };
        let image = assemble(&store, &lease, images.to_vec(), &options).unwrap();
        for digest in image.blobs() {
            assert!(store.has(digest).unwrap(), "{digest}");
        }
        (image.target.digest, image.blobs())
    };
    let (first, second) = (assembled(), assembled());
    assert_eq!(first, second);
}
