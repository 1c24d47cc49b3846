//! In: the `--name=value` words of an instruction. Out: their values, each claimed once by the instruction that knows it. Never: an unknown flag passed over.

use crate::error::ParseErrorKind;
use crate::suggest;

/// A flag an instruction knows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Bool,
    Text,
    /// May be given several times.
    List,
}

/// Values by name, checked against what the instruction knows.
#[derive(Debug, Default)]
pub(crate) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Checks the words against the flags an instruction knows.
    pub(crate) fn parse(words: &[String], known: &[(&'static str, Kind)]) -> Result<Self, ParseErrorKind> {
        let mut values: Vec<(&'static str, String)> = Vec::new();
        for word in words {
            let word = word.strip_prefix("--").unwrap_or(word);
            let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let Some((name, kind)) = known.iter().find(|(known, _)| *known == name) else {
                let suggestion = suggest::nearest(name, known.iter().map(|(known, _)| *known));
                return Err(ParseErrorKind::UnknownFlag { flag: name.to_owned(), suggestion });
            };
            if !matches!(kind, Kind::List) && values.iter().any(|(seen, _)| seen == name) {
                return Err(ParseErrorKind::DuplicateFlag((*name).to_owned()));
            }
            let no_value = || ParseErrorKind::FlagWithoutValue((*name).to_owned());
            let value = match kind {
                Kind::Bool => bool_word(name, value)?,
                Kind::Text | Kind::List => value.ok_or_else(no_value)?.to_owned(),
            };
            values.push((name, value));
        }
        Ok(Self(values))
    }

    /// The value of a text flag, empty when it was not given.
    pub(crate) fn text(&self, name: &str) -> String {
        self.0.iter().find(|(seen, _)| *seen == name).map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// The value of a flag that means something else when it was not given.
    pub(crate) fn optional(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(seen, _)| *seen == name).map(|(_, value)| value.clone())
    }

    /// Whether a bool flag was given, and how.
    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        self.0.iter().find(|(seen, _)| *seen == name).map(|(_, value)| value == "true")
    }

    /// All values of a list flag, in order.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(seen, _)| *seen == name).map(|(_, value)| value.clone()).collect()
    }
}

fn bool_word(name: &str, value: Option<&str>) -> Result<String, ParseErrorKind> {
    let Some(value) = value else { return Ok("true".to_owned()) };
    match value.to_lowercase().as_str() {
        "" => Err(ParseErrorKind::FlagWithoutValue(name.to_owned())),
        word @ ("true" | "false") => Ok(word.to_owned()),
        _ => Err(ParseErrorKind::FlagNotBoolean { flag: name.to_owned(), value: value.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Flags, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let known = [("platform", Kind::Text), ("link", Kind::Bool), ("mount", Kind::List)];
        Flags::parse(&words, &known).map_err(|error| error.to_string())
    }

    #[test]
    fn values_and_errors() {
        let flags = parse(&["--platform=a", "--link", "--mount=x", "--mount=y"]).unwrap();
        assert_eq!((flags.text("platform").as_str(), flags.bool("link")), ("a", Some(true)));
        assert_eq!(flags.list("mount"), ["x", "y"]);
        assert_eq!(parse(&["--link=FALSE"]).unwrap().bool("link"), Some(false));
        assert_eq!(parse(&[]).unwrap().bool("link"), None);
        assert_eq!(parse(&["--plaform=a"]).unwrap_err(), "unknown flag: --plaform (did you mean platform?)");
        assert_eq!(parse(&["--zzz"]).unwrap_err(), "unknown flag: --zzz");
        assert_eq!(parse(&["--platform=a", "--platform=a"]).unwrap_err(), "duplicate flag specified: --platform");
        assert_eq!(parse(&["--platform"]).unwrap_err(), "missing a value on flag: --platform");
        assert_eq!(parse(&["--link="]).unwrap_err(), "missing a value on flag: --link");
        assert_eq!(parse(&["--link=x"]).unwrap_err(), "expecting boolean value for flag --link, not: x");
    }
}
