//! In: variables set one after another. Out: what they are now, in the order BuildKit keeps. Never: more bytes than a process could be given.

use crossdock_dockerfile::Variables;

/// Most bytes of all names and values together: a process takes about 2 MiB of arguments and environment.
pub const ENVIRONMENT_BYTES_MAX: usize = 4 << 20;

/// Variables in the order they were set last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pairs: Vec<(String, String)>,
    bytes: usize,
}

impl Variables for Environment {
    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Environment {
    /// Sets a variable; it moves behind all others.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if let Some(at) = self.pairs.iter().position(|(known, _)| known == name) {
            let (known, old) = self.pairs.remove(at);
            self.bytes -= known.len() + old.len();
        }
        self.bytes += name.len() + value.len();
        self.pairs.push((name.to_owned(), value.to_owned()));
    }

    /// Whether the limit is passed.
    pub(crate) const fn is_too_large(&self) -> bool {
        self.bytes > ENVIRONMENT_BYTES_MAX
    }

    /// Bytes of all names and values.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.iter().map(|(name, _)| name.as_str())
    }

    /// `NAME=value`, in order.
    pub(crate) fn to_list(&self) -> Vec<String> {
        self.pairs.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// Name and value of `NAME=value`; a text without `=` has an empty value.
pub(crate) fn split_pair(text: &str) -> (&str, &str) {
    text.split_once('=').unwrap_or((text, ""))
}

/// Sets a variable in an image's environment: in place when it is there, else behind all others.
pub(crate) fn set_in_list(list: &mut Vec<String>, name: &str, value: &str) {
    let pair = format!("{name}={value}");
    match list.iter_mut().find(|known| split_pair(known).0 == name) {
        Some(known) => *known = pair,
        None => list.push(pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_again_moves_to_the_end_but_not_in_image_lists() {
        let mut environment = Environment::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("A", "3")] {
            environment.set(name, value);
        }
        assert_eq!(environment.to_list(), ["B=2", "A=3"]);
        assert_eq!((environment.bytes(), Variables::get(&environment, "A")), (4, Some("3")));
        let mut list = vec!["A=1".to_owned(), "B=2".to_owned()];
        set_in_list(&mut list, "A", "3");
        set_in_list(&mut list, "C", "4");
        assert_eq!(list, ["A=3", "B=2", "C=4"]);
    }
}
