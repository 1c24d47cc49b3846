//! In: the path and query of a request. Out: what is asked for. Never: a name that is not a repository's.

use crossdock_oci::{BlobDigest, Reference};
use reqwest::Url;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    Tags { name: String },
    Manifest { name: String, reference: String },
    Blob { name: String, digest: BlobDigest },
    Uploads { name: String },
    Upload { name: String, id: String },
}

impl Route {
    /// Reads a path; `None` when it is none of ours. Read from its end, for names may hold any of the words.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let path = percent_decode(path)?;
        let rest = path.strip_prefix("/v2")?;
        if rest.is_empty() || rest == "/" {
            return Some(Self::Base);
        }
        let rest = rest.strip_prefix('/')?;
        if rest == "_catalog" {
            return Some(Self::Catalog);
        }
        let parts: Vec<&str> = rest.split('/').collect();
        let named = |count: usize| {
            let name = parts[..parts.len().checked_sub(count)?].join("/");
            is_repository(&name).then_some(name)
        };
        match parts.as_slice() {
            [.., "tags", "list"] => Some(Self::Tags { name: named(2)? }),
            [.., "manifests", reference] => {
                Some(Self::Manifest { name: named(2)?, reference: (*reference).to_owned() })
            }
            [.., "blobs", "uploads", ""] => Some(Self::Uploads { name: named(3)? }),
            [.., "blobs", "uploads"] => Some(Self::Uploads { name: named(2)? }),
            [.., "blobs", "uploads", id] => Some(Self::Upload { name: named(3)?, id: (*id).to_owned() }),
            [.., "blobs", digest] => Some(Self::Blob { name: named(2)?, digest: digest.parse().ok()? }),
            _ => None,
        }
    }

    /// The repository asked about.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Base | Self::Catalog => None,
            Self::Tags { name }
            | Self::Manifest { name, .. }
            | Self::Blob { name, .. }
            | Self::Uploads { name }
            | Self::Upload { name, .. } => Some(name),
        }
    }
}

/// Whether the text is a repository's name.
pub(super) fn is_repository(name: &str) -> bool {
    // With a host in front that has a dot, the grammar takes the whole rest as the path.
    let parsed = Reference::repository("registry.invalid", name);
    parsed.is_ok_and(|parsed| parsed.path() == name && parsed.tag().is_none() && parsed.digest().is_none())
}

/// Whether the text is a tag.
pub(super) fn is_tag(text: &str) -> bool {
    Reference::repository("registry.invalid", "x").is_ok_and(|name| name.with_tag(text).is_ok())
}

/// The parameters of a request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let url = Url::parse(&format!("http://query/?{text}"));
        Self(url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a parameter that may be repeated.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = after;
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_their_end() {
        let digest = BlobDigest::of(b"x");
        let blob = |name: &str| Some(Route::Blob { name: name.into(), digest });
        let rows = [
            ("/v2", Some(Route::Base)),
            ("/v2/", Some(Route::Base)),
            ("/v2/_catalog", Some(Route::Catalog)),
            ("/v2/a/b/tags/list", Some(Route::Tags { name: "a/b".into() })),
            ("/v2/a/manifests/1.0", Some(Route::Manifest { name: "a".into(), reference: "1.0".into() })),
            (
                "/v2/manifests/manifests/manifests",
                Some(Route::Manifest { name: "manifests".into(), reference: "manifests".into() }),
            ),
            ("/v2/a/blobs/uploads/", Some(Route::Uploads { name: "a".into() })),
            ("/v2/a/blobs/uploads", Some(Route::Uploads { name: "a".into() })),
            ("/v2/a/blobs/uploads/7", Some(Route::Upload { name: "a".into(), id: "7".into() })),
            (&format!("/v2/a/blobs/{digest}"), blob("a")),
            (&format!("/v2/a/blobs/{}", digest.to_string().replace(':', "%3A")), blob("a")),
            ("/v2/a/blobs/sha256:1", None),
            ("/v2/A/tags/list", None),
            ("/v2/../tags/list", None),
            ("/v2/a%2/tags/list", None),
            ("/v2/a:b/tags/list", None),
            ("/v1/", None),
            ("/v2x", None),
        ];
        for (path, want) in rows {
            assert_eq!(Route::parse(path), want, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_path_ends(path in "/v2/(\\PC|/){0,60}", query in "\\PC{0,60}") {
            let _ = Route::parse(&path);
            let _ = Query::parse(&query).get("n");
        }
    }
}
