//! In: a layer's tar, SOURCE_DATE_EPOCH. Out: the same tar with no time later than that. Never: another change.

use std::io::{Read, Write};

use crossdock_exporter::ExportError;
use crossdock_oci::Timestamp;
use crossdock_snapshot::entry::Mtime;
use crossdock_snapshot::tar::{Reader, TarEntry, Writer};

/// Copies a layer; times later than the epoch become the epoch, as BuildKit's `rewrite-timestamp` does.
///
/// # Errors
/// Those of both tars.
pub fn clamp_times(tar: &mut (dyn Read + Send), epoch: Timestamp, out: &mut dyn Write) -> Result<(), ExportError> {
    let latest = Mtime::from_seconds(i64::try_from(epoch.seconds()).unwrap_or(i64::MAX));
    let mut reader = Reader::new(tar);
    let mut writer = Writer::new(std::io::BufWriter::with_capacity(1 << 20, out));
    while let Some(item) = reader.next_item()? {
        match item.entry {
            TarEntry::Entry(mut entry) => {
                entry.mtime = entry.mtime.min(latest);
                writer.append(&entry, &mut reader)?;
            }
            TarEntry::Whiteout { path } => writer.whiteout(&path)?,
            TarEntry::Opaque { dir } => writer.opaque(&dir)?,
        }
    }
    let mut buffered = writer.finish()?;
    buffered.flush().map_err(|source| ExportError::Write { dest: "the layer".to_owned(), source })
}

#[cfg(test)]
mod tests {
    use crossdock_snapshot::entry::Entry;
    use crossdock_snapshot::path::RootedPath;

    use super::*;

    #[test]
    fn later_times_become_the_epoch_and_earlier_ones_stay() {
        let mut writer = Writer::new(Vec::new());
        for (name, seconds) in [("early", 5), ("late", 50)] {
            let entry = Entry {
                mtime: Mtime::from_seconds(seconds),
                ..Entry::file(RootedPath::parse(name).unwrap(), 1, 0o644)
            };
            writer.append(&entry, &mut &b"x"[..]).unwrap();
        }
        writer.whiteout(&RootedPath::parse("gone").unwrap()).unwrap();
        let tar = writer.finish().unwrap();
        let mut out = Vec::new();
        clamp_times(&mut &tar[..], Timestamp::from_seconds(10), &mut out).unwrap();
        let mut reader = Reader::new(&out[..]);
        let mut times = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            match item.entry {
                TarEntry::Entry(entry) => times.push(entry.mtime.seconds),
                other => assert!(matches!(other, TarEntry::Whiteout { .. })),
            }
        }
        assert_eq!(times, [5, 10]);
    }
}
