//! In: an http source op. Out: one file with the server's bytes, as a layer. Never: bytes fetched that the server says are still the same, or whose checksum is known.

use crossdock_content::{Link, Space};
use crossdock_image::LayerId;
use crossdock_llb::source::attr;
use crossdock_llb::url::UrlParts;
use crossdock_llb::{SourceOp, Vertex};
use crossdock_oci::BlobDigest;
use crossdock_progress::Line;
use crossdock_registry::{Download, DownloadFacts, DownloadRequest, Piece};
use crossdock_solver::{Cancel, Executed};
use serde::{Deserialize, Serialize};

use super::bad;
use super::file::{FileFacts, Spool};
use super::upload::SESSION_HOST;
use crate::BuildError;
use crate::perform::{Steps, locked};
use crate::result::Output;

/// Permission bits of a file that was fetched (spec/dockerfile.md §4).
const FILE_MODE: u32 = 0o600;
/// A file whose URL ends in nothing.
const NO_NAME: &str = "download";

/// What is known of a URL from its last fetch.
#[derive(Debug, Serialize, Deserialize)]
struct Page {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modified: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filename: Option<String>,
    digest: BlobDigest,
}

/// What an http source op asks for.
struct Wish<'a> {
    url: &'a str,
    /// As the op says; empty leaves it to the server or the URL.
    filename: &'a str,
    mode: u32,
    checksum: Option<BlobDigest>,
}

impl Steps {
    /// Brings a file of a web server, or of the client.
    pub(crate) fn run_http_source(
        &self,
        vertex: &Vertex,
        source: &SourceOp,
        cancel: &Cancel,
    ) -> Result<Executed<Output>, BuildError> {
        let wish = Wish::of(source)?;
        let layer = match wish.url.strip_prefix("http://").and_then(|rest| rest.split_once('/')) {
            Some((SESSION_HOST, name)) => self.take_upload(vertex, source, &wish, name, cancel)?,
            _ => {
                let (layer, modified) = self.fetch_file(vertex, &wish)?;
                locked(&self.source_times).extend(modified.map(|modified| (vertex.digest, modified)));
                layer
            }
        };
        Ok(Executed { results: vec![Output::layers(vec![layer])], identity: None })
    }

    fn take_upload(
        &self,
        vertex: &Vertex,
        source: &SourceOp,
        wish: &Wish<'_>,
        name: &str,
        cancel: &Cancel,
    ) -> Result<LayerId, BuildError> {
        let upload = self.locals.upload(name).ok_or_else(|| bad(source, "the client sends nothing of this name"))?;
        let mut line = Line::begin(&self.progress, vertex.digest, "transferring context:");
        let mut seen = 0;
        let cancelled = || cancel.is_cancelled() || self.cancel.is_cancelled();
        let spooled = upload.spooled(self.store.root(), &cancelled, &mut |done| {
            if done - seen >= 1 << 20 {
                seen = done;
                line.update(done, 0);
            }
        })?;
        line.update(spooled.size_bytes, 0);
        line.done();
        let facts = wish.facts(&DownloadFacts::default());
        if let Some(known) = self.known_file(&spooled.digest, &facts)? {
            self.mark_unchanged(vertex);
            return Ok(known);
        }
        self.layer_of_file(&spooled, &facts)
    }

    /// The layer, and when the file was last changed.
    fn fetch_file(&self, vertex: &Vertex, wish: &Wish<'_>) -> Result<(LayerId, Option<i64>), BuildError> {
        // Bytes of a known checksum and those of today are remembered apart.
        let checksum = wish.checksum.map_or_else(String::new, |checksum| format!("/{checksum}"));
        let key = format!("http/{}{checksum}", BlobDigest::of(wish.url.as_bytes()).hex());
        self.recipes.alone(&key, || {
            let page = self.page(&key)?;
            // Who knows the digest needs nobody's word.
            if let (Some(page), Some(checksum)) = (&page, wish.checksum)
                && page.digest == checksum
                && let Some(known) = self.known_file(&checksum, &wish.facts(&page.facts()))?
            {
                self.mark_unchanged(vertex);
                return Ok((known, page.modified));
            }
            // Only what is here may be still the same.
            let page = match page {
                Some(page) => {
                    let known = self.known_file(&page.digest, &wish.facts(&page.facts()))?;
                    known.map(|known| (page, known))
                }
                None => None,
            };
            self.download(vertex, wish, &key, page)
        })
    }

    fn download(
        &self,
        vertex: &Vertex,
        wish: &Wish<'_>,
        key: &str,
        page: Option<(Page, LayerId)>,
    ) -> Result<(LayerId, Option<i64>), BuildError> {
        let authorization = self.authorization_for(wish.url)?;
        let request = DownloadRequest {
            url: wish.url,
            etag: page.as_ref().and_then(|(page, _)| page.etag.as_deref()),
            last_modified: page.as_ref().and_then(|(page, _)| page.last_modified.as_deref()),
            authorization: authorization.as_deref(),
            is_checked: wish.checksum.is_some(),
        };
        let mut line = Line::begin(&self.progress, vertex.digest, "downloading");
        let mut spool = Spool::new(self.store.root())?;
        let (mut total, mut seen) = (0, 0);
        let answer = self.client.download(&request, &mut |piece| {
            match piece {
                Piece::Start { total_bytes } => {
                    total = total_bytes.unwrap_or(0);
                    seen = 0;
                    spool.clear()?;
                }
                Piece::Bytes(bytes) => spool.take(bytes)?,
            }
            if spool.size_bytes() - seen >= 1 << 20 {
                seen = spool.size_bytes();
                line.update(seen, total);
            }
            Ok(())
        })?;
        let facts = match (answer, page) {
            (Download::NotModified, Some((page, known))) => {
                check(wish, page.digest)?;
                self.mark_unchanged(vertex);
                line.done();
                return Ok((known, page.modified));
            }
            (Download::NotModified, None) => {
                let reason = "it says that nothing changed, though it was asked for the first time".to_owned();
                return Err(BuildError::Fetch { url: shown(wish.url), reason });
            }
            (Download::Fetched(facts), _) => facts,
        };
        let spooled = spool.finish();
        line.update(spooled.size_bytes, total);
        line.done();
        check(wish, spooled.digest)?;
        let named = wish.facts(&facts);
        if self.known_file(&spooled.digest, &named)?.is_some() {
            self.mark_unchanged(vertex);
        }
        let layer = self.layer_of_file(&spooled, &named)?;
        self.keep_page(key, &facts, spooled.digest)?;
        Ok((layer, facts.modified))
    }

    /// The header that secrets give for the host of a URL (spec/dockerfile.md §4).
    fn authorization_for(&self, url: &str) -> Result<Option<String>, BuildError> {
        let Ok(parts) = UrlParts::parse(url) else { return Ok(None) };
        let host = parts.host_name();
        if let Some(token) = self.secret_text(&format!("HTTP_AUTH_TOKEN_{host}"))? {
            return Ok(Some(format!("Bearer {token}")));
        }
        self.secret_text(&format!("HTTP_AUTH_HEADER_{host}"))
    }

    /// A secret as one line of text, when it was given.
    pub(crate) fn secret_text(&self, id: &str) -> Result<Option<String>, BuildError> {
        let Some(value) = self.given.secret(id, true)? else { return Ok(None) };
        let text = String::from_utf8(value).map_err(|_| BuildError::SecretNotText { id: id.to_owned() })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn page(&self, key: &str) -> Result<Option<Page>, BuildError> {
        Ok(self.store.get(Space::Pin, key)?.and_then(|row| serde_json::from_slice(&row).ok()))
    }

    fn keep_page(&self, key: &str, facts: &DownloadFacts, digest: BlobDigest) -> Result<(), BuildError> {
        let page = Page {
            etag: facts.etag.clone(),
            last_modified: facts.last_modified.clone(),
            modified: facts.modified,
            filename: facts.filename.clone(),
            digest,
        };
        let links: [Link; 0] = [];
        let row = serde_json::to_vec(&page).unwrap_or_default();
        Ok(self.store.put_row(Space::Pin, key, &row, &links)?)
    }
}

impl Page {
    fn facts(&self) -> DownloadFacts {
        DownloadFacts {
            etag: self.etag.clone(),
            last_modified: self.last_modified.clone(),
            modified: self.modified,
            filename: self.filename.clone(),
        }
    }
}

impl<'a> Wish<'a> {
    fn of(source: &'a SourceOp) -> Result<Self, BuildError> {
        let attr = |name: &str| source.attrs.get(name).map(String::as_str).unwrap_or_default();
        let checksum = match attr(attr::HTTP_CHECKSUM) {
            "" => None,
            text => Some(text.parse().map_err(|_| bad(source, "the checksum is no sha256 digest"))?),
        };
        let mode = match attr(attr::HTTP_PERM) {
            "" => FILE_MODE,
            text => u32::from_str_radix(text, 8).map_err(|_| bad(source, "http.perm is no octal number"))? & 0o7777,
        };
        Ok(Self { url: &source.identifier, filename: attr(attr::HTTP_FILENAME), mode, checksum })
    }

    /// The file as it will be: its name from the op, else from the server, else from the URL.
    fn facts(&self, facts: &DownloadFacts) -> FileFacts {
        let last = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            (!matches!(name, "" | "." | "..")).then(|| name.to_owned())
        };
        let name = last(self.filename)
            .or_else(|| last(facts.filename.as_deref()?))
            .or_else(|| UrlParts::parse(self.url).ok()?.file_name().and_then(last))
            .unwrap_or_else(|| NO_NAME.to_owned());
        FileFacts { name, mode: self.mode, modified: facts.modified.unwrap_or(0) }
    }
}

/// The bytes must be those that were asked for.
fn check(wish: &Wish<'_>, got: BlobDigest) -> Result<(), BuildError> {
    match wish.checksum {
        Some(want) if want != got => Err(BuildError::Checksum { url: shown(wish.url), want, got }),
        _ => Ok(()),
    }
}

fn shown(url: &str) -> String {
    crossdock_llb::url::redact(url)
}
