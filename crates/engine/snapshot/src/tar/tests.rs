//! In: random entries, random bytes, archives as other tools write them. Out: proof that reading gives back what was written and never panics. Never: a real disk.

use proptest::prelude::*;

use super::*;
use crate::entry::{EntryKind, Mtime};
use std::io::Read as _;

type Member = (TarEntry, Vec<u8>);

fn read_all(bytes: &[u8]) -> Result<Vec<Member>, TarError> {
    let mut reader = Reader::new(bytes);
    let mut members = Vec::new();
    while let Some(item) = reader.next_item()? {
        let mut data = Vec::new();
        while let Some(chunk) = reader.next_chunk()? {
            match chunk {
                Chunk::Bytes(bytes) => data.extend_from_slice(bytes),
                Chunk::Hole(length) => data.resize(data.len() + length as usize, 0),
            }
        }
        if let Some(offset) = item.data_offset {
            assert_eq!(&bytes[offset as usize..][..data.len()], data, "data_offset points at the data");
        }
        members.push((item.entry, data));
    }
    Ok(members)
}

fn write_all(members: &[Member]) -> Vec<u8> {
    let mut writer = Writer::with_nanoseconds(Vec::new());
    for (entry, data) in members {
        match entry {
            TarEntry::Entry(entry) => writer.append(entry, &mut data.as_slice()).unwrap(),
            TarEntry::Whiteout { path } => writer.whiteout(path).unwrap(),
            TarEntry::Opaque { dir } => writer.opaque(dir).unwrap(),
        }
    }
    writer.finish().unwrap()
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("no slash or NUL", |byte| !matches!(byte, 0 | b'/'));
    prop_oneof![
        4 => "[a-z]{1,8}".prop_map(String::into_bytes),
        1 => "[a-z]{90,160}".prop_map(String::into_bytes),
        2 => prop::collection::vec(byte, 1..20),
    ]
    .prop_filter("an ordinary name", |name| {
        !matches!(name.as_slice(), b"." | b"..") && !name.starts_with(WHITEOUT_PREFIX)
    })
}

fn path() -> impl Strategy<Value = RootedPath> {
    prop::collection::vec(name(), 1..5).prop_map(|names| RootedPath::parse(names.join(&b'/')).unwrap())
}

fn kind() -> impl Strategy<Value = (EntryKind, Vec<u8>)> {
    let device = (0_u32..1 << 21, 0_u32..1 << 21);
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..1500).prop_map(|data| (EntryKind::File { size_bytes: data.len() as u64 }, data)),
        2 => Just((EntryKind::Dir, Vec::new())),
        1 => prop::collection::vec(1_u8.., 1..150).prop_map(|target| (EntryKind::Symlink { target }, Vec::new())),
        1 => path().prop_map(|target| (EntryKind::HardLink { target }, Vec::new())),
        1 => device.clone().prop_map(|(major, minor)| (EntryKind::CharDevice { major, minor }, Vec::new())),
        1 => device.prop_map(|(major, minor)| (EntryKind::BlockDevice { major, minor }, Vec::new())),
        1 => Just((EntryKind::Fifo, Vec::new())),
    ]
}

fn member() -> impl Strategy<Value = Member> {
    let id = || prop_oneof![0_u32..70_000, 0..u32::MAX];
    let time = (
        prop_oneof![0_i64..2_000_000_000, any::<i64>().prop_map(|value| value >> 8)],
        prop_oneof![Just(0), 0_u32..1_000_000_000],
    );
    let xattr_name = "[a-z]{1,9}\\.[a-zA-Z. \n]{1,30}".prop_map(String::into_bytes);
    let xattrs = prop::collection::btree_map(xattr_name, prop::collection::vec(any::<u8>(), 0..40), 0..3);
    let entry = (path(), kind(), 0_u32..0o10000, id(), id(), time, xattrs).prop_map(
        |(path, (kind, data), mode, uid, gid, (seconds, nanoseconds), xattrs)| {
            let mtime = Mtime { seconds, nanoseconds };
            (TarEntry::Entry(Entry { path, kind, mode, uid, gid, mtime, xattrs }), data)
        },
    );
    prop_oneof![
        6 => entry,
        1 => path().prop_map(|path| (TarEntry::Whiteout { path }, Vec::new())),
        1 => path().prop_map(|dir| (TarEntry::Opaque { dir }, Vec::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_reads_back(members in prop::collection::vec(member(), 0..8)) {
        let bytes = write_all(&members);
        prop_assert_eq!(bytes.len() % 512, 0);
        prop_assert_eq!(&write_all(&members), &bytes);
        prop_assert_eq!(read_all(&bytes).unwrap(), members);
    }

    #[test]
    fn every_cut_is_noticed_or_harmless(members in prop::collection::vec(member(), 1..4), at in any::<prop::sample::Index>()) {
        let bytes = write_all(&members);
        let cut = at.index(bytes.len());
        if let Ok(read) = read_all(&bytes[..cut]) {
            prop_assert!(members.starts_with(&read), "a cut archive gives a prefix of its entries");
        }
    }

    #[test]
    fn mutated_bytes_never_panic(members in prop::collection::vec(member(), 1..4), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = write_all(&members);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
            repair_checksum(&mut bytes, at);
        }
        let _ = drain(&bytes);
    }

    #[test]
    fn random_headers_never_panic(mut block in prop::collection::vec(any::<u8>(), 512), flag in prop::sample::select(&b"0127SxgLK56"[..]), rest in prop::collection::vec(any::<u8>(), 0..1200)) {
        for field in [100..108, 108..116, 116..124, 136..148] {
            block[field].fill(b'0');
        }
        block[124..136].copy_from_slice(b"00000001000\0");
        block[156] = flag;
        repair_checksum(&mut block, 0);
        block.extend_from_slice(&rest);
        let _ = drain(&block);
    }
}

/// Reads without keeping anything: a mutated size of a sparse file may be huge.
fn drain(bytes: &[u8]) -> Result<(), TarError> {
    let mut reader = Reader::new(bytes);
    while reader.next_item()?.is_some() {
        while reader.next_chunk()?.is_some() {}
    }
    reader.finish().map(|_| ())
}

/// Makes the block that holds byte `at` pass its checksum, so that mutations reach the code behind it.
fn repair_checksum(bytes: &mut [u8], at: usize) {
    let start = at / 512 * 512;
    if bytes.len() < start + 512 {
        return;
    }
    let block = &mut bytes[start..start + 512];
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn root_file(name: &str, size_bytes: u64) -> Entry {
    Entry::file(RootedPath::parse(name).unwrap(), size_bytes, 0o644)
}

#[test]
fn pax_headers_come_only_where_needed() {
    let short = Entry { mtime: Mtime { seconds: 1_700_000_000, nanoseconds: 5 }, ..root_file("etc/motd", 0) };
    let mut writer = Writer::new(Vec::new());
    writer.append_header(&short).unwrap();
    let split = root_file(&format!("{}/{}", "d".repeat(120), "f".repeat(90)), 0);
    writer.append_header(&split).unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes.len(), 4 * 512, "two headers, no extended header, two zero blocks");
    assert_eq!(&bytes[257..265], b"ustar\x0000");
    let members = read_all(&bytes).unwrap();
    assert!(matches!(&members[0].0, TarEntry::Entry(entry) if entry.mtime == Mtime::from_seconds(1_700_000_000)));
    assert_eq!(members[1].0, TarEntry::Entry(split));
    let unsplittable = root_file(&"n".repeat(101), 0);
    let bytes = write_all(&[(TarEntry::Entry(unsplittable), Vec::new())]);
    assert_eq!(bytes.len(), 5 * 512);
    assert_eq!(bytes[156], b'x');
}

#[test]
fn sizes_must_agree() {
    let mut writer = Writer::new(Vec::new());
    assert!(matches!(
        writer.append(&root_file("a", 3), &mut &b"12"[..]),
        Err(TarError::DataSize { want: 3, got: 2, .. })
    ));
    let mut writer = Writer::new(Vec::new());
    assert!(matches!(
        writer.append(&root_file("a", 3), &mut &b"1234"[..]),
        Err(TarError::DataSize { want: 3, got: 4, .. })
    ));
    let mut writer = Writer::new(Vec::new());
    writer.append_header(&root_file("a", 3)).unwrap();
    assert!(matches!(writer.finish(), Err(TarError::DataSize { want: 3, got: 0, .. })));
}

/// A header with any name, as another tool may write it.
fn raw_header(name: &[u8], flag: u8, size_bytes: u64) -> Vec<u8> {
    let fields = header::Fields {
        name,
        prefix: &[],
        mode: 0o644,
        uid: 0,
        gid: 0,
        size_bytes,
        mtime_seconds: 0,
        type_flag: flag,
        link_name: b"",
        device: (0, 0),
    };
    fields.format().to_vec()
}

#[test]
fn names_are_cleaned_or_refused() {
    let read = |name: &[u8]| read_all(&raw_header(name, b'5', 0)).map(|members| members[0].0.clone());
    for (name, clean) in [("./", ""), ("./a/", "a"), ("/a//b/./c/", "a/b/c")] {
        let want = Entry::dir(RootedPath::parse(clean).unwrap(), 0o644);
        assert_eq!(read(name.as_bytes()).unwrap(), TarEntry::Entry(want), "{name}");
    }
    for name in ["../a", "a/../b", "a/.."] {
        assert!(
            matches!(read(name.as_bytes()), Err(TarError::Path { source: PathError::PathEscapes { .. }, .. })),
            "{name}"
        );
    }
    for name in [".wh.", ".wh..", "a/.wh..."] {
        assert!(
            matches!(read(name.as_bytes()), Err(TarError::Header { reason: "whiteout does not name anything", .. })),
            "{name}"
        );
    }
}

#[test]
fn whiteouts_and_aufs_leftovers() {
    let mut bytes = Vec::new();
    for name in ["a/.wh.b", "c/.wh..wh..opq", ".wh..wh..opq", ".wh..wh.plnk", ".wh..wh.plnk/1.2", ".wh..wh.aufs", "d"] {
        bytes.extend(raw_header(name.as_bytes(), b'0', 0));
    }
    let parse = |path| RootedPath::parse(path).unwrap();
    let names: Vec<_> = read_all(&bytes).unwrap().into_iter().map(|(entry, _)| entry).collect();
    assert_eq!(
        names[..3],
        [
            TarEntry::Whiteout { path: parse("a/b") },
            TarEntry::Opaque { dir: parse("c") },
            TarEntry::Opaque { dir: RootedPath::root() }
        ]
    );
    assert_eq!(names.len(), 4);
    let mut plain = Reader::plain(bytes.as_slice());
    let first = plain.next_item().unwrap().unwrap();
    assert!(matches!(first.entry, TarEntry::Entry(entry) if entry.path == parse("a/.wh.b")));
}

#[test]
fn gnu_long_names_and_trailing_garbage() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(250));
    let mut bytes = raw_header(b"././@LongLink", b'L', long.len() as u64 + 1);
    let mut payload = long.clone().into_bytes();
    payload.resize(512, 0);
    bytes.extend(payload);
    bytes.extend(raw_header(&long.as_bytes()[..100], b'0', 0));
    bytes.extend([0; 1024]);
    bytes.extend(b"garbage after the end is no business of ours");
    let members = read_all(&bytes).unwrap();
    assert!(matches!(&members[0].0, TarEntry::Entry(entry) if entry.path.as_bytes() == long.as_bytes()));
    let rest = Reader::new(bytes.as_slice()).finish().unwrap();
    assert!(rest.is_empty(), "finish reads everything");
}

#[test]
fn limits_have_names() {
    let mut bytes = raw_header(b"x", b'x', PAX_BYTES_MAX + 1);
    bytes.extend([b' '; 512]);
    assert!(matches!(read_all(&bytes), Err(TarError::Limit { what: "size of an extended header", .. })));
    let deep = "d/".repeat(crate::path::PATH_BYTES_MAX);
    let mut records = pax::Records::default();
    records.push("path", deep.as_bytes());
    let records = records.format();
    let mut bytes = raw_header(b"x", b'x', records.len() as u64);
    bytes.extend(&records);
    bytes.resize(bytes.len().div_ceil(512) * 512, 0);
    bytes.extend(raw_header(b"y", b'5', 0));
    assert!(matches!(read_all(&bytes), Err(TarError::Path { source: PathError::TooLong { .. }, .. })));
}

/// Archives made by GNU tar with every sparse format it knows, when it is installed.
#[test]
fn sparse_files_of_gnu_tar() {
    use std::os::unix::fs::FileExt as _;
    let dir = tempfile::tempdir().unwrap();
    let file = fs_err::File::create(dir.path().join("holes")).unwrap();
    let mut want = vec![0_u8; 3 << 20];
    for (at, byte) in [(0_usize, 1_u8), (1 << 20, 2), ((2 << 20) + 4096, 3)] {
        want[at..at + 5000].fill(byte);
        file.file().write_all_at(&want[at..at + 5000], at as u64).unwrap();
    }
    file.set_len(want.len() as u64).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let made =
            std::process::Command::new("tar").args(format).args(["-S", "-c", "holes"]).current_dir(dir.path()).output();
        let Ok(made) = made.map(|made| made.stdout) else {
            println!("skipped: needs GNU tar");
            return;
        };
        assert!(made.len() < 1 << 20, "{format:?} is stored sparse");
        let members = read_all(&made).unwrap();
        let mut expected = root_file("holes", want.len() as u64);
        let TarEntry::Entry(entry) = &members[0].0 else { panic!("an entry") };
        expected = Entry { mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: entry.mtime, ..expected };
        assert_eq!(*entry, expected, "{format:?}");
        assert!(members[0].1 == want, "{format:?}: content");
        let mut reader = Reader::new(made.as_slice());
        reader.next_item().unwrap();
        let mut through_read = Vec::new();
        reader.read_to_end(&mut through_read).unwrap();
        assert!(through_read == want, "{format:?}: content through Read");
    }
}

/// GNU tar lists what we write as we mean it.
#[test]
fn gnu_tar_reads_what_is_written() {
    use std::io::Write as _;
    let long = format!("{}/{}", "d".repeat(130), "f".repeat(120));
    let mut writer = Writer::new(Vec::new());
    let dir = Entry { mtime: Mtime::from_seconds(86_400), ..Entry::dir(RootedPath::parse("dir").unwrap(), 0o1755) };
    writer.append_header(&dir).unwrap();
    let big_ids = Entry { uid: 3_000_000, gid: 70_000, ..root_file(&long, 5) };
    writer.append(&big_ids, &mut &b"12345"[..]).unwrap();
    writer.append_header(&Entry::symlink(RootedPath::parse("dir/link").unwrap(), "t".repeat(150))).unwrap();
    let target = RootedPath::parse(&long).unwrap();
    let link = EntryKind::HardLink { target };
    writer.append_header(&Entry::new(RootedPath::parse("hard").unwrap(), link, 0o644)).unwrap();
    let device = EntryKind::CharDevice { major: 5, minor: 1 };
    writer.append_header(&Entry::new(RootedPath::parse("console").unwrap(), device, 0o620)).unwrap();
    let bytes = writer.finish().unwrap();
    let arguments = ["--numeric-owner", "--utc", "--full-time", "-tv"];
    let tar = std::process::Command::new("tar")
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let Ok(mut tar) = tar else {
        println!("skipped: needs GNU tar");
        return;
    };
    tar.stdin.take().unwrap().write_all(&bytes).unwrap();
    let listed = String::from_utf8(tar.wait_with_output().unwrap().stdout).unwrap();
    let lines: Vec<String> = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        lines,
        [
            "drwxr-xr-t 0/0 0 1970-01-02 00:00:00 dir/".to_owned(),
            format!("-rw-r--r-- 3000000/70000 5 1970-01-01 00:00:00 {long}"),
            format!("lrwxrwxrwx 0/0 0 1970-01-01 00:00:00 dir/link -> {}", "t".repeat(150)),
            format!("hrw-r--r-- 0/0 0 1970-01-01 00:00:00 hard link to {long}"),
            "crw--w---- 0/0 5,1 1970-01-01 00:00:00 console".to_owned(),
        ]
    );
}
