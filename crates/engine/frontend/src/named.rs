//! In: a name in a Dockerfile, the option `context:NAME[::PLATFORM]`. Out: what stands in for the image or stage of this name. Never: an image resolved, a directory read.
//!
//! Rules of spec/dockerfile.md §7: names are compared with and without `:latest`; one for a platform wins.

use crossdock_dockerfile::LineRange;
use crossdock_llb::git_url;
use crossdock_oci::{Platform, Reference};

use crate::context::{Remote, shown};
use crate::error::ErrorKind;
use crate::options::Options;
use crate::plan::ImageName;

/// What a named context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Scratch,
    Image(ImageName),
    Tree(NamedTree),
}

/// A named context that is a tree of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedTree {
    /// As given, with its platform: `base::linux/arm64`.
    pub(crate) name: String,
    pub(crate) kind: TreeKind,
}

/// Where a tree comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TreeKind {
    /// `local://NAME`
    Local(String),
    Remote(Box<Remote>),
}

/// The image a named context is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContextImage {
    /// As given, with its platform.
    pub(crate) name: String,
    /// As the screen shows it.
    pub(crate) shown: String,
    /// The layout on the client's side that holds it; none for registries.
    pub(crate) layout: Option<String>,
}

/// The context that stands in for a name, where there is one.
pub(crate) fn find(
    options: &Options,
    name: &str,
    platform: &Platform,
    lines: LineRange,
) -> Result<Option<Named>, ErrorKind> {
    if options.named_contexts.is_empty() {
        return Ok(None);
    }
    let Some(name) = key_of(name) else { return Ok(None) };
    let with_platform = format!("{name}::{}", platform.clone().normalized());
    for key in [with_platform, name] {
        if let Some(value) = options.named_contexts.get(&key) {
            return read(&key, value, lines).map(Some);
        }
    }
    Ok(None)
}

/// A name as options have it: short, without `:latest`; `None` when it can be no name.
pub fn key_of(name: &str) -> Option<String> {
    let reference: Reference = name.parse().ok()?;
    let short = reference.familiar();
    Some(short.strip_suffix(":latest").unwrap_or(&short).to_owned())
}

fn read(name: &str, value: &str, lines: LineRange) -> Result<Named, ErrorKind> {
    let bad = |reason: &str| ErrorKind::NamedContext {
        name: name.to_owned(),
        value: shown(value),
        reason: reason.to_owned(),
    };
    let tree = |kind| Ok(Named::Tree(NamedTree { name: name.to_owned(), kind }));
    if let Some(reference) = value.strip_prefix("docker-image://") {
        return match reference {
            "scratch" => Ok(Named::Scratch),
            _ => image(name, reference, reference, None, lines).map(Named::Image),
        };
    }
    if let Some(rest) = value.strip_prefix("oci-layout://") {
        let (place, digest) = rest.split_once('@').ok_or_else(|| bad("a layout's image needs a digest"))?;
        let store = place.rsplit_once(':').map_or(place, |(store, _)| store);
        let own = name.split_once("::").map_or(name, |(name, _)| name);
        let reference = format!("{own}@{digest}");
        return image(name, &reference, &reference, Some(store.to_owned()), lines).map(Named::Image);
    }
    if let Some(local) = value.strip_prefix("local:") {
        return tree(TreeKind::Local(local.to_owned()));
    }
    if let Some(git) = git_url::parse(value).map_err(|error| bad(&error.to_string()))? {
        let step = format!("[internal] load git source {}", shown(value));
        return tree(TreeKind::Remote(Box::new(Remote::git(&git, step))));
    }
    if git_url::is_http(value) {
        let step = format!("[context {name}] {}", shown(value));
        return tree(TreeKind::Remote(Box::new(Remote::file(value, step))));
    }
    Err(bad("this kind of context source is not supported"))
}

fn image(
    name: &str,
    written: &str,
    shown: &str,
    layout: Option<String>,
    lines: LineRange,
) -> Result<ImageName, ErrorKind> {
    let mut image = crate::plan::image_name(written, lines)?;
    image.context = Some(ContextImage { name: name.to_owned(), shown: shown.to_owned(), layout });
    Ok(image)
}

impl ContextImage {
    /// The name of the step that brings it.
    pub(crate) fn step(&self) -> String {
        match self.layout {
            Some(_) => format!("[context {}] OCI load from client", self.name),
            None => format!("[context {}] {}", self.name, self.shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn names_are_compared_short_and_a_platform_wins() {
        let mut options = Options::new(Vec::new());
        let pairs =
            [("alpine", "docker-image://busybox"), ("alpine::linux/arm64", "local:a"), ("x.example/a/b:1", "local:b")];
        options.named_contexts =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>();
        let find =
            |name: &str, arch: &str| match find(&options, name, &Platform::new("linux", arch, ""), LineRange::line(1))
                .unwrap()
            {
                None => String::new(),
                Some(Named::Scratch) => "scratch".to_owned(),
                Some(Named::Image(image)) => image.reference.familiar(),
                Some(Named::Tree(tree)) => tree.name,
            };
        for name in ["alpine", "alpine:latest", "docker.io/library/alpine", "library/alpine:latest"] {
            assert_eq!(find(name, "amd64"), "busybox:latest", "{name}");
            assert_eq!(find(name, "arm64"), "alpine::linux/arm64", "{name}");
        }
        assert_eq!(find("alpine:3", "amd64"), "");
        assert_eq!(find("x.example/a/b:1", "amd64"), "x.example/a/b:1");
        assert_eq!(find("NO NAME", "amd64"), "");
    }
}
