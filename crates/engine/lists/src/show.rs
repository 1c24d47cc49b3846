//! In: a document of a registry. Out: `imagetools inspect` in buildx's words and columns. Never: a look-up.

use crossdock_oci::{Descriptor, Index, Reference, media_type};

use crate::{Found, ListError};

/// The text form, with its last line's end. Any media type has a name, a type and a digest.
///
/// # Errors
/// When an index cannot be read.
pub fn text(name: &Reference, found: &Found) -> Result<String, ListError> {
    let descriptor = &found.descriptor;
    let mut out = String::new();
    let mut columns = Columns::default();
    columns.line("Name:", &name.to_string());
    columns.line("MediaType:", &descriptor.media_type);
    columns.line("Digest:", &descriptor.digest.to_string());
    columns.flush(&mut out);
    if !media_type::is_index(&descriptor.media_type) {
        return Ok(out);
    }
    let index =
        Index::parse(found.raw.clone()).map_err(|source| ListError::Document { name: name.to_string(), source })?;
    columns.line("", "");
    columns.line("Manifests:", "");
    columns.flush(&mut out);
    for (at, entry) in index.view.manifests.iter().enumerate() {
        if at > 0 {
            columns.line("", "");
        }
        one(&mut columns, &mut out, name, entry);
    }
    columns.flush(&mut out);
    Ok(out)
}

fn one(columns: &mut Columns, out: &mut String, name: &Reference, entry: &Descriptor) {
    columns.line("  Name:", &name.with_digest(entry.digest).to_string());
    columns.line("  MediaType:", &entry.media_type);
    let Some(platform) = &entry.platform else { return };
    columns.line("  Platform:", &platform.to_string());
    if !platform.os_version.is_empty() {
        columns.line("  OSVersion:", &platform.os_version);
    }
    if !platform.os_features.is_empty() {
        columns.line("  OSFeatures:", &platform.os_features.join(", "));
    }
    if !entry.urls.is_empty() {
        columns.line("  URLs:", &entry.urls.join(", "));
    }
    if !entry.annotations.is_empty() {
        columns.line("  Annotations:", "");
        columns.flush(out);
        for (key, value) in &entry.annotations {
            columns.line(&format!("    {key}:"), value);
        }
        columns.flush(out);
    }
}

/// Two columns, the first as wide as its widest cell and a blank: until they are flushed.
#[derive(Default)]
struct Columns {
    lines: Vec<(String, String)>,
}

impl Columns {
    fn line(&mut self, left: &str, right: &str) {
        self.lines.push((left.to_owned(), right.to_owned()));
    }

    fn flush(&mut self, out: &mut String) {
        let width = self.lines.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0) + 1;
        for (left, right) in self.lines.drain(..) {
            out.push_str(&format!("{left:<width$}{right}\n"));
        }
    }
}
