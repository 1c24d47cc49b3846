//! In: the command line as it came. Out: Docker's flags in front of the first word, and the words behind them. Never: a flag behind the first word read.

use std::ffi::{OsStr, OsString};

use super::Face;

/// Docker's flags in front of the verb that take a value.
const WITH_VALUE: [&str; 10] =
    ["--config", "--context", "--host", "--log-level", "--tlscacert", "--tlscert", "--tlskey", "-c", "-H", "-l"];

/// A command line in its parts.
#[derive(Debug, Clone)]
pub struct Words {
    /// The name this program was called by.
    pub program: String,
    /// The flags in front of the first word.
    pub globals: Vec<OsString>,
    /// The first word and all behind it.
    pub rest: Vec<OsString>,
}

impl Words {
    /// Splits a command line; its first word is the program's name.
    pub fn split(words: Vec<OsString>) -> Self {
        let mut words = words.into_iter();
        let program = words.next().unwrap_or_default().to_string_lossy().into_owned();
        let mut globals = Vec::new();
        let mut rest: Vec<OsString> = words.collect();
        while let Some(first) = rest.first().filter(|word| word.as_encoded_bytes().starts_with(b"-")) {
            let count = if WITH_VALUE.iter().any(|flag| first == flag) { 2 } else { 1 };
            globals.extend(rest.drain(..count.min(rest.len())));
        }
        Self { program, globals, rest }
    }

    /// The first word that is no flag.
    pub fn first(&self) -> Option<&OsStr> {
        self.rest.first().map(OsString::as_os_str)
    }

    /// The value of `--config`, the last one when there are several.
    pub fn config(&self) -> Option<OsString> {
        let mut found = None;
        for (at, word) in self.globals.iter().enumerate() {
            if word == "--config" {
                found = self.globals.get(at + 1).cloned();
            } else if let Some(value) = word.to_str().and_then(|word| word.strip_prefix("--config=")) {
                found = Some(value.into());
            }
        }
        found
    }

    /// `help [WORD…]`
    pub fn asks_for_help(&self) -> bool {
        self.first().is_some_and(|word| word == "help")
    }

    /// The words as the parser takes them: without the plugin's own name, `help WORD…` as `WORD… --help`.
    pub fn spoken(self, face: Face) -> Vec<OsString> {
        let help = self.asks_for_help();
        let mut rest = self.rest;
        if help {
            rest.remove(0);
        }
        // Docker's client calls `docker-buildx [its own flags] buildx …`; alone the word is missing.
        if face == Face::Plugin && rest.first().is_some_and(|word| word == "buildx") {
            rest.remove(0);
        }
        if help {
            rest.push("--help".into());
        }
        std::iter::once(OsString::from(self.program)).chain(self.globals).chain(rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Words {
        Words::split(text.split(' ').map(OsString::from).collect())
    }

    fn spoken(face: Face, text: &str) -> String {
        let words: Vec<String> = split(text).spoken(face).iter().map(|w| w.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn dockers_flags_stand_in_front_of_the_plugins_name() {
        let words = split("docker-buildx --config /x -D -c ctx --tls -H=unix:///s buildx build -c 5 .");
        assert_eq!(words.globals.len(), 7);
        assert_eq!(words.first().unwrap(), "buildx");
        assert_eq!(words.config().unwrap(), "/x");
        assert_eq!(split("d --config=/a --config /b x").config().unwrap(), "/b");
        assert_eq!(split("d x --config /b").config(), None);
        assert_eq!(split("d --config").globals, ["--config"]);
    }

    #[test]
    fn the_plugins_name_is_taken_away_once() {
        assert_eq!(spoken(Face::Plugin, "p -D buildx ls"), "p -D ls");
        assert_eq!(spoken(Face::Plugin, "p ls buildx"), "p ls buildx");
        assert_eq!(spoken(Face::Plugin, "p buildx"), "p");
        assert_eq!(spoken(Face::Docker, "docker buildx ls"), "docker buildx ls");
    }

    #[test]
    fn help_stands_behind_what_it_is_about() {
        assert_eq!(spoken(Face::Plugin, "p help buildx"), "p --help");
        assert_eq!(spoken(Face::Plugin, "p help buildx ls"), "p ls --help");
        assert_eq!(spoken(Face::Docker, "docker help image ls"), "docker image ls --help");
        assert_eq!(spoken(Face::Own, "crossdock help"), "crossdock --help");
    }
}
