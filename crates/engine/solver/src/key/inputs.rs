//! In: an op. Out: for each input, which part of it counts and by what. Never: reading the input.

use crossdock_llb::{CopyAction, ExecOp, FileActionKind, FileOp, Mount, Op, Owner, OwnerId};

use crate::digest::SelectorDigest;
use crate::sink::{Hasher, KeySink, Shape, Value};

/// Files of an input whose content counts in a key (spec/dockerfile.md §5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentSelector {
    /// Absolute path inside the input: `/src`. `/` is everything.
    pub path: String,
    /// `path` holds wildcards; matches count with their names.
    pub wildcard: bool,
    /// When `path` itself is a symbolic link, its target counts.
    pub follow_symlink: bool,
    /// Patterns as [`crossdock_llb::CopyAction`] has them, relative to `path`.
    pub include_patterns: Vec<String>,
    /// As `include_patterns`.
    pub exclude_patterns: Vec<String>,
}

impl ContentSelector {
    fn plain(path: String) -> Self {
        Self { path, wildcard: false, follow_symlink: true, include_patterns: vec![], exclude_patterns: vec![] }
    }
}

/// How one input counts.
pub(super) struct InputRule {
    /// In the order of the op's mounts or actions; empty means the whole input.
    pub(super) selectors: Vec<ContentSelector>,
    /// The content key takes the digest of the selected files.
    pub(super) by_content: bool,
    /// Place of the input in the words of an explanation.
    place: String,
}

/// What [`crate::Performer::content_digest`] must digest of input number `input`: one file digest for each selector, then
/// the digest of that list. Everything, when the op uses the input as a whole.
///
/// The list follows the op's mounts or actions and keeps equal entries: the op's own facts name no directories, so only the
/// position says which content goes where. `COPY /a/x /b/y /d/` and `COPY /b/x /a/y /d/` are the same op over lists
/// that a sorted order could not tell apart.
pub fn content_selectors(op: &Op, inputs: usize, input: usize) -> Vec<ContentSelector> {
    let rule = input_rules(op, inputs).into_iter().nth(input);
    let selectors = rule.filter(|rule| rule.by_content).map(|rule| rule.selectors).unwrap_or_default();
    if selectors.is_empty() { vec![ContentSelector::plain("/".to_owned())] } else { selectors }
}

impl InputRule {
    fn whole(number: usize) -> Self {
        Self { selectors: vec![], by_content: false, place: format!("input {number}") }
    }

    /// The digest of the selectors.
    pub(super) fn digest(&self) -> SelectorDigest {
        if self.selectors.is_empty() {
            return SelectorDigest::WHOLE;
        }
        let mut sink = Hasher::new();
        sink.enter("", Shape::List);
        for selector in &self.selectors {
            sink.enter("", Shape::Map);
            sink.fact("Path", "", Value::Text(&selector.path));
            sink.fact("Wildcard", "", Value::Flag(selector.wildcard));
            sink.fact("FollowLinks", "", Value::Flag(selector.follow_symlink));
            for (name, patterns) in
                [("IncludePatterns", &selector.include_patterns), ("ExcludePatterns", &selector.exclude_patterns)]
            {
                sink.enter(name, Shape::List);
                patterns.iter().for_each(|pattern| sink.fact("", "", Value::Text(pattern)));
                sink.leave();
            }
            sink.leave();
        }
        sink.leave();
        SelectorDigest::from_raw(sink.finish())
    }

    /// `content of src/main.rs, Cargo.toml`
    pub(super) fn content_label(&self) -> String {
        let mut paths: Vec<&str> =
            self.selectors.iter().map(|selector| selector.path.trim_start_matches('/')).collect();
        paths.dedup();
        if paths.is_empty() || paths.contains(&"") {
            return format!("content of {}", self.place);
        }
        format!("content of {}", paths.join(", "))
    }

    /// What the input is to the op.
    pub(super) fn whole_label(&self) -> String {
        self.place.clone()
    }
}

/// One rule for each of `inputs` inputs.
pub(super) fn input_rules(op: &Op, inputs: usize) -> Vec<InputRule> {
    match op {
        Op::Exec(exec) => exec_rules(exec, inputs),
        Op::File(file) => file_rules(file, inputs),
        Op::Source(_) | Op::Merge(_) | Op::Diff => (0..inputs).map(InputRule::whole).collect(),
    }
}

/// An input counts by content unless some mount of it becomes an output: then the rest of its files are in the result.
fn exec_rules(exec: &ExecOp, inputs: usize) -> Vec<InputRule> {
    let kept = |mount: &Mount| mount.output.is_some() && (!mount.readonly || mount.dest == "/");
    let rule = |number: usize| {
        let mounts: Vec<&Mount> =
            exec.mounts.iter().filter(|mount| mount.input.is_some_and(|input| input as usize == number)).collect();
        let Some(first) = mounts.first() else { return InputRule::whole(number) };
        let place = match first.dest.as_str() {
            "/" => "the steps before".to_owned(),
            dest => format!("the mount at {dest}"),
        };
        let by_content = !mounts.iter().any(|mount| kept(mount));
        let mut selectors: Vec<_> =
            mounts.iter().map(|mount| ContentSelector::plain(absolute(&mount.selector))).collect();
        if selectors.iter().all(|selector| selector.path == "/") {
            selectors.clear();
        }
        InputRule { selectors, by_content, place }
    };
    (0..inputs).map(rule).collect()
}

/// A copied-from input counts by content unless some action changes it: then its other files are in the result.
fn file_rules(file: &FileOp, inputs: usize) -> Vec<InputRule> {
    let mut selected: Vec<Vec<ContentSelector>> = vec![Vec::new(); inputs];
    let mut changed = vec![false; inputs];
    for action in &file.actions {
        if let Some(flag) = action.input.and_then(|input| changed.get_mut(input as usize)) {
            *flag = true;
        }
        let owner = match &action.kind {
            FileActionKind::Copy(copy) => {
                if let Some(list) = action.secondary_input.and_then(|input| selected.get_mut(input as usize)) {
                    list.push(copy_selector(copy));
                }
                copy.owner.as_ref()
            }
            FileActionKind::MkFile(file) => file.owner.as_ref(),
            FileActionKind::MkDir(dir) => dir.owner.as_ref(),
            FileActionKind::Symlink(link) => link.owner.as_ref(),
            FileActionKind::Rm(_) => None,
        };
        select_names(owner, &mut selected);
    }
    let rule = |(number, (selectors, changed)): (usize, (Vec<ContentSelector>, bool))| {
        let place = if changed { "the steps before".to_owned() } else { format!("input {number}") };
        InputRule { by_content: !changed && !selectors.is_empty(), selectors, place }
    };
    selected.into_iter().zip(changed).enumerate().map(rule).collect()
}

/// Names of owners are looked up in `/etc/passwd` and `/etc/group` of an input, so those files count.
fn select_names(owner: Option<&Owner>, selected: &mut [Vec<ContentSelector>]) {
    let Some(owner) = owner else { return };
    for (id, path) in [(&owner.user, "/etc/passwd"), (&owner.group, "/etc/group")] {
        if let Some(OwnerId::Name { input, .. }) = id
            && let Some(list) = selected.get_mut(*input as usize)
        {
            list.push(ContentSelector::plain(path.to_owned()));
        }
    }
}

fn copy_selector(copy: &CopyAction) -> ContentSelector {
    ContentSelector {
        path: absolute(&copy.src),
        wildcard: copy.allow_wildcard && has_wildcard(&copy.src),
        follow_symlink: copy.follow_symlink,
        include_patterns: copy.include_patterns.clone(),
        exclude_patterns: copy.exclude_patterns.clone(),
    }
}

/// The path with one slash in front, without `.`, `..` and doubled slashes: `..` cannot leave the root.
fn absolute(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether a path holds `*`, `?` or `[` that no backslash disarms.
fn has_wildcard(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}
