//! In: a stage, its place in the count, an instruction's text. Out: the name the screen shows: `[linux/amd64->arm64 build 2/4] RUN make`. Never: part of a key.

use crossdock_dockerfile::{Expander, Variables};
use crossdock_oci::Platform;

use crate::environment::Environment;

/// Counts the steps of a stage and names them.
#[derive(Debug, Clone)]
pub(crate) struct StepNamer {
    /// Empty where the file has one stage.
    label: String,
    /// Steps in all; 0 for images that are only copied from, whose names stay bare.
    total: usize,
    done: usize,
    /// Several platforms are built, so names begin with theirs.
    with_platform: bool,
}

impl StepNamer {
    pub(crate) const fn new(label: String, total: usize, with_platform: bool) -> Self {
        Self { label, total, done: 0, with_platform }
    }

    /// Names the next step. `scope` says what is compiled for, where a stage declares TARGET arguments.
    pub(crate) fn next(&mut self, text: &str, platform: &Platform, scope: &Environment, is_onbuild: bool) -> String {
        if self.total == 0 {
            return text.to_owned();
        }
        self.done += 1;
        let mut out = String::from("[");
        if self.with_platform {
            out.push_str(&platform.to_string());
            out.push_str(&cross_suffix(platform, scope));
            out.push(' ');
        }
        if !self.label.is_empty() {
            out.push_str(&self.label);
            out.push(' ');
        }
        let width = self.total.to_string().len();
        let onbuild = if is_onbuild { "ONBUILD " } else { "" };
        format!("{out}{:width$}/{}] {onbuild}{text}", self.done, self.total)
    }

    /// Takes the last name back, so that the next step has its number too.
    pub(crate) const fn back(&mut self) {
        self.done = self.done.saturating_sub(1);
    }
}

/// `->arm64` when the stage's TARGET arguments name another platform than it runs on.
fn cross_suffix(base: &Platform, scope: &Environment) -> String {
    let Some(mut target) = platform_of(scope) else { return String::new() };
    if target.os.is_empty() {
        target.os.clone_from(&base.os);
    }
    if target.architecture.is_empty() {
        target.architecture.clone_from(&base.architecture);
    }
    let target = target.normalized();
    if target.os != base.os {
        return format!("->{target}");
    }
    if target.architecture == base.architecture {
        return String::new();
    }
    let variant = if target.variant.is_empty() { String::new() } else { format!("/{}", target.variant) };
    format!("->{}{variant}", target.architecture)
}

/// What the TARGET arguments say, in the order they were set.
fn platform_of(scope: &Environment) -> Option<Platform> {
    let mut target = Platform::new("", "", "");
    let mut is_set = false;
    for name in scope.names() {
        let value = Variables::get(scope, name).unwrap_or_default();
        match name {
            "TARGETPLATFORM" => {
                if let Ok(platform) = value.parse() {
                    return Some(platform);
                }
                continue;
            }
            "TARGETOS" => value.clone_into(&mut target.os),
            "TARGETARCH" => value.clone_into(&mut target.architecture),
            "TARGETVARIANT" => value.clone_into(&mut target.variant),
            _ => continue,
        }
        is_set = true;
    }
    is_set.then_some(target)
}

/// An instruction's text with its variables shown as what they are, the keyword in upper case. Text that cannot be
/// expanded stays as written.
pub(crate) fn expand_text(expander: &Expander, text: &str, scope: &dyn Variables) -> String {
    let text = expander.word(text, scope).map_or_else(|_| text.to_owned(), |expansion| expansion.text);
    match text.split_once(' ') {
        Some((keyword, rest)) => format!("{} {rest}", keyword.to_uppercase()),
        None => text.to_uppercase(),
    }
}

/// The first line of a heredoc, with dots when there are more.
pub(crate) fn summarize_heredoc(content: &str) -> String {
    let content = content.trim();
    match content.split_once('\n') {
        Some((first, _)) => format!("{}...", first.strip_suffix('\r').unwrap_or(first)),
        None => content.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_transcripts() {
        let amd64 = Platform::new("linux", "amd64", "");
        let mut scope = Environment::default();
        let mut namer = StepNamer::new("build".to_owned(), 4, true);
        assert_eq!(namer.next("FROM x", &amd64, &scope, false), "[linux/amd64 build 1/4] FROM x");
        scope.set("TARGETOS", "linux");
        scope.set("TARGETARCH", "arm64");
        assert_eq!(namer.next("WORKDIR /a", &amd64, &scope, false), "[linux/amd64->arm64 build 2/4] WORKDIR /a");
        scope.set("TARGETVARIANT", "v7");
        scope.set("TARGETARCH", "arm");
        assert_eq!(namer.next("RUN y", &amd64, &scope, true), "[linux/amd64->arm/v7 build 3/4] ONBUILD RUN y");
        scope.set("TARGETPLATFORM", "linux/amd64");
        assert_eq!(namer.next("RUN y", &amd64, &scope, false), "[linux/amd64 build 4/4] RUN y");
        let mut single = StepNamer::new(String::new(), 10, false);
        assert_eq!(single.next("FROM x", &amd64, &scope, false), "[ 1/10] FROM x");
        single.back();
        assert_eq!(single.next("FROM x", &amd64, &scope, false), "[ 1/10] FROM x");
        assert_eq!(StepNamer::new(String::new(), 0, true).next("FROM x", &amd64, &scope, false), "FROM x");
    }

    #[test]
    fn texts_show_values() {
        let mut scope = Environment::default();
        scope.set("A", "1");
        let show = |text: &str| expand_text(&Expander::for_display('\\'), text, &scope);
        assert_eq!(show("run echo \"I'm $A\" $B"), "RUN echo \"I'm 1\" $B");
        assert_eq!(show("run it's $A"), "RUN it's $A");
        assert_eq!(summarize_heredoc("\n a\r\nb\n"), "a...");
        assert_eq!(summarize_heredoc("a\n"), "a");
    }
}
