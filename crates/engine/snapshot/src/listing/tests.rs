//! In: random layers. Out: proof that a listing says what the tar or directory says, and survives storage. Never: the network.

use proptest::prelude::*;

use super::*;
use crate::entry::Mtime;
use crate::tar::{TarEntry, Writer};

fn path(text: &str) -> RootedPath {
    RootedPath::parse(text).unwrap()
}

fn tar_of(members: &[(TarEntry, &[u8])]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (member, data) in members {
        match member {
            TarEntry::Entry(entry) => writer.append(entry, &mut &data[..]).unwrap(),
            TarEntry::Whiteout { path } => writer.whiteout(path).unwrap(),
            TarEntry::Opaque { dir } => writer.opaque(dir).unwrap(),
        }
    }
    writer.finish().unwrap()
}

fn file(name: &str, data: &'static [u8]) -> (TarEntry, &'static [u8]) {
    (TarEntry::Entry(Entry::file(path(name), data.len() as u64, 0o644)), data)
}

fn other(entry: Entry) -> (TarEntry, &'static [u8]) {
    (TarEntry::Entry(entry), &[])
}

fn hard_link(name: &str, target: &str) -> (TarEntry, &'static [u8]) {
    other(Entry::new(path(name), EntryKind::HardLink { target: path(target) }, 0o644))
}

fn list(members: &[(TarEntry, &[u8])]) -> Result<Listing, ListingError> {
    from_tar(tar_of(members).as_slice()).map(|scan| scan.listing)
}

fn names(listing: &Listing) -> Vec<String> {
    listing.entries().iter().map(|listed| listed.entry.path.to_string()).collect()
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    *crossdock_oci::BlobDigest::of(bytes).as_bytes()
}

#[test]
fn one_pass_finds_everything() {
    let mut bytes = tar_of(&[file("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), file("etc/hosts", b"h")]);
    bytes.extend_from_slice(b"trailing");
    let scan = from_tar(bytes.as_slice()).unwrap();
    assert_eq!(scan.size_bytes, bytes.len() as u64);
    assert_eq!(scan.diff_id, crossdock_oci::DiffId::of(&bytes));
    let hosts = scan.listing.get(&path("etc/hosts")).unwrap();
    assert_eq!(hosts.content, Some(sha256(b"h")));
    assert_eq!(bytes[hosts.data_offset.unwrap() as usize], b'h');
    assert_eq!(scan.listing.inline(&path("etc/passwd")).unwrap(), b"root:x:0:0::/:/bin/sh\n");
    assert_eq!(scan.listing.inline(&path("etc/hosts")), None);
}

#[test]
fn later_entries_replace_earlier_ones() {
    let dir = |name, mode| other(Entry::dir(path(name), mode));
    let listing = list(&[dir("d", 0o700), file("d/f", b"1"), file("d/f", b"22"), dir("d", 0o755)]).unwrap();
    assert_eq!(names(&listing), ["/d", "/d/f"]);
    assert_eq!(listing.get(&path("d")).unwrap().entry.mode, 0o755);
    assert_eq!(listing.get(&path("d/f")).unwrap().content, Some(sha256(b"22")));
    let listing = list(&[file("d/e/f", b"1"), file("d/e", b"2"), file("d-", b"3")]).unwrap();
    assert_eq!(names(&listing), ["/d/e", "/d-"]);
    let listing = list(&[file("etc/passwd", b"1"), file("etc", b"2")]).unwrap();
    assert_eq!(listing.inline(&path("etc/passwd")), None);
    let hidden = list(&[file("a/b", b"1"), file("a", b"2"), file("a/c", b"3")]);
    assert!(matches!(hidden, Err(ListingError::ParentNotDirectory { parent, .. }) if parent == path("a")));
}

#[test]
fn symlinks_of_the_layer_are_followed_for_directories() {
    let link = |name, target: &str| other(Entry::symlink(path(name), target));
    let listing = list(&[
        link("lib", "usr/lib"),
        file("lib/x", b"1"),
        link("usr/lib/up", "../../../y"),
        file("usr/lib/up/z", b"2"),
    ])
    .unwrap();
    assert_eq!(names(&listing), ["/lib", "/usr/lib/up", "/usr/lib/x", "/y/z"]);
    assert!(matches!(list(&[link("a", "b"), link("b", "a"), file("a/x", b"")]), Err(ListingError::SymlinkLoop { .. })));
    let listing = list(&[file("d/x", b""), file("d/y", b""), link("d", "e"), file("d/z", b"")]).unwrap();
    assert_eq!(names(&listing), ["/d", "/e/z"]);
}

#[test]
fn hard_links_become_names_of_one_object() {
    let listing = list(&[file("a", b"1"), hard_link("b", "a"), hard_link("c", "elsewhere"), file("d", b"2")]).unwrap();
    let group = |name| listing.get(&path(name)).unwrap().link_group;
    assert_eq!((group("a"), group("b"), group("c"), group("d")), (1, 1, 0, 0));
    assert_eq!(listing.get(&path("b")).unwrap().content, Some(sha256(b"1")));
    assert!(matches!(listing.get(&path("c")).unwrap().entry.kind, EntryKind::HardLink { .. }));
    assert_eq!(listing.file_bytes(), 2);
    let replaced = list(&[file("a", b"1"), hard_link("b", "a"), file("a", b"22")]).unwrap();
    assert_eq!(replaced.get(&path("b")).unwrap().content, Some(sha256(b"1")));
    assert_eq!(replaced.get(&path("b")).unwrap().link_group, 0);
    let to_dir = list(&[other(Entry::dir(path("d"), 0o755)), hard_link("l", "d")]);
    assert!(matches!(to_dir, Err(ListingError::HardLinkToDirectory { .. })));
}

#[test]
fn writing_lists_what_reading_lists() {
    let mut writer = ListedWriter::new(Vec::new());
    let passwd = Entry { mtime: Mtime { seconds: 5, nanoseconds: 7 }, ..Entry::file(path("etc/passwd"), 4, 0o644) };
    writer.append(&Entry::dir(path("etc"), 0o755), &mut std::io::empty()).unwrap();
    assert_eq!(writer.append(&passwd, &mut &b"root"[..]).unwrap(), Some(sha256(b"root")));
    writer.whiteout(&path("gone")).unwrap();
    writer.opaque(&path("etc")).unwrap();
    let (bytes, scan) = writer.finish().unwrap();
    assert_eq!(from_tar(bytes.as_slice()).unwrap(), scan);
}

fn any_path() -> impl Strategy<Value = RootedPath> {
    let name = prop_oneof![
        Just(b"a".to_vec()),
        Just(b"b".to_vec()),
        Just(b"etc".to_vec()),
        Just(b"passwd".to_vec()),
        Just(vec![0xff, b'-'])
    ];
    prop::collection::vec(name, 1..4).prop_map(|names| RootedPath::parse(names.join(&b'/')).unwrap())
}

fn any_kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        any::<u64>().prop_map(|size_bytes| EntryKind::File { size_bytes }),
        Just(EntryKind::Dir),
        prop::collection::vec(1_u8.., 0..9).prop_map(|target| EntryKind::Symlink { target }),
        any_path().prop_map(|target| EntryKind::HardLink { target }),
        any::<(u32, u32)>().prop_map(|(major, minor)| EntryKind::CharDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| EntryKind::BlockDevice { major, minor }),
        Just(EntryKind::Fifo),
    ]
}

prop_compose! {
    fn any_listed()(
        path in any_path(), kind in any_kind(), mode in 0_u32..0o10000, ids in any::<(u32, u32)>(), time in any::<(i64, u32)>(),
        xattrs in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 1..5), prop::collection::vec(any::<u8>(), 0..5), 0..3),
        content in any::<Option<[u8; 32]>>(), data_offset in any::<Option<u64>>(), link_group in 0_u32..4,
    ) -> ListingEntry {
        let mtime = Mtime { seconds: time.0, nanoseconds: time.1 };
        ListingEntry { entry: Entry { path, kind, mode, uid: ids.0, gid: ids.1, mtime, xattrs }, content, data_offset, link_group }
    }
}

prop_compose! {
    fn any_listing()(
        entries in prop::collection::vec(any_listed(), 0..12),
        whiteouts in prop::collection::btree_set(any_path(), 0..4), opaques in prop::collection::btree_set(any_path(), 0..4),
        inline in prop::collection::btree_map(any_path(), prop::collection::vec(any::<u8>(), 0..9), 0..3),
    ) -> Listing {
        let mut entries = entries;
        entries.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        entries.dedup_by(|a, b| a.entry.path == b.entry.path);
        Listing { entries, whiteouts: whiteouts.into_iter().collect(), opaques: opaques.into_iter().collect(), inline: inline.into_iter().collect() }
    }
}

proptest! {
    #[test]
    fn storage_changes_nothing(listing in any_listing()) {
        let stored = listing.encode();
        prop_assert_eq!(Listing::decode(&stored).unwrap(), listing);
    }

    #[test]
    fn damaged_storage_is_an_error_or_a_listing(listing in any_listing(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut body = zstd::decode_all(&listing.encode()[8..]).unwrap();
        let at = at.index(body.len());
        body[at] = value;
        let stored = [&b"XDLIST\x00\x01"[..], &zstd::encode_all(body.as_slice(), 1).unwrap()].concat();
        let _ = Listing::decode(&stored);
        prop_assert!(Listing::decode(&listing.encode()[..7]).is_err());
    }
}

/// `cargo test --release -p crossdock-snapshot -- --ignored --nocapture listing_speed`
#[test]
#[ignore = "a measurement"]
fn listing_speed() {
    let mut listing = Listing::default();
    for index in 0..20_000_u32 {
        let name = path(&format!("usr/share/doc/package-{:04}/file-{index:06}.txt", index / 20));
        let entry = Entry {
            mtime: Mtime::from_seconds(1_700_000_000 + i64::from(index)),
            ..Entry::file(name, u64::from(index) * 7, 0o644)
        };
        let content = Some(sha256(&index.to_le_bytes()));
        listing.entries.push(ListingEntry {
            entry,
            content,
            data_offset: Some(u64::from(index) * 1024),
            link_group: 0,
        });
    }
    let start = std::time::Instant::now();
    let stored = listing.encode();
    let encoded = start.elapsed();
    let start = std::time::Instant::now();
    let decoded = Listing::decode(&stored).unwrap();
    println!("20,000 entries: {} bytes, encode {encoded:?}, decode {:?}", stored.len(), start.elapsed());
    assert_eq!(decoded, listing);
    let big = vec![7_u8; 64 << 20];
    let mut writer = Writer::new(Vec::new());
    for index in 0..8 {
        writer
            .append(&Entry::file(path(&format!("big{index}")), big.len() as u64, 0o644), &mut big.as_slice())
            .unwrap();
    }
    for listed in listing.entries() {
        writer.append(&Entry::file(listed.entry.path.clone(), 3000, 0o644), &mut &big[..3000]).unwrap();
    }
    let tar = writer.finish().unwrap();
    let start = std::time::Instant::now();
    let scan = from_tar(tar.as_slice()).unwrap();
    let took = start.elapsed();
    println!("scan of {} MB, {} entries: {took:?}", tar.len() >> 20, scan.listing.entries().len());
    let start = std::time::Instant::now();
    let mut reader = crate::tar::Reader::new(tar.as_slice());
    while reader.next_item().unwrap().is_some() {}
    println!("read without hashing: {:?}", start.elapsed());
}
