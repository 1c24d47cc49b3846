//! In: the text of a URL. Out: its parts, as Go's `net/url` divides them. Never: a connection, a name resolved.
//!
//! Contexts are recognised by what BuildKit's parser makes of their text, so this follows the same rules: the fragment
//! goes first, then the query, then scheme, user, host and path; escapes are undone in path, query and fragment.

/// The parts of `scheme://[user@]host/path?query#fragment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlParts {
    /// In lower case.
    pub scheme: String,
    /// `user[:password]`; empty where there is none.
    pub user: String,
    /// Host and port.
    pub host: String,
    /// With its escapes undone.
    pub path: String,
    /// Each key with its values in order, escapes undone.
    pub query: Vec<(String, String)>,
    /// With its escapes undone.
    pub fragment: String,
    /// The URL without query and fragment.
    pub bare: String,
}

/// What no URL can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// No `scheme://` in front.
    #[error("no scheme such as https:// in front")]
    NoScheme,
    /// Control characters are in no URL.
    #[error("a control character in the URL")]
    ControlCharacter,
    /// `%` must be followed by two hexadecimal digits, and the result be text.
    #[error("an escape such as %2F is broken")]
    Escape,
    /// A blank or another character that no host name has.
    #[error("a character in the host name that no host name has")]
    Host,
}

impl UrlParts {
    /// Divides a URL.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::NoScheme)?;
        let is_scheme =
            scheme.bytes().enumerate().all(|(at, byte)| byte.is_ascii_alphabetic() || at > 0 && is_scheme_byte(byte));
        if scheme.is_empty() || !is_scheme {
            return Err(UrlError::NoScheme);
        }
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(UrlError::ControlCharacter);
        }
        let scheme = scheme.to_ascii_lowercase();
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let bare = format!("{scheme}://{rest}");
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if host.bytes().any(|byte| !is_host_byte(byte)) {
            return Err(UrlError::Host);
        }
        Ok(Self {
            scheme,
            user: user.to_owned(),
            host: host.to_owned(),
            path: unescape(path, false)?,
            query: parse_query(query)?,
            fragment: unescape(fragment, false)?,
            bare,
        })
    }

    /// The host without its port, and without the brackets of IPv6.
    pub fn host_name(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => self.host.split(':').next().unwrap_or(&self.host),
        }
    }

    /// The last element of the path; none when the path ends in nothing.
    pub fn file_name(&self) -> Option<&str> {
        self.path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty() && *name != ".")
    }
}

const fn is_scheme_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.')
}

/// What Go lets pass in a host: letters, digits, sub-delimiters, brackets, and anything beyond ASCII.
const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || byte >= 0x80
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%')
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b'<' | b'>' | b'"'
        )
}

/// `a=1&b` as pairs; a key without `=` has an empty value.
///
/// # Errors
/// When an escape is broken.
pub fn parse_query(text: &str) -> Result<Vec<(String, String)>, UrlError> {
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((unescape(key, true)?, unescape(value, true)?))
        })
        .collect()
}

fn unescape(text: &str, plus_is_blank: bool) -> Result<String, UrlError> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let digit =
                    |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(UrlError::Escape);
                let value = digit(bytes.next())? << 4 | digit(bytes.next())?;
                out.push(u8::try_from(value).map_err(|_| UrlError::Escape)?);
            }
            b'+' if plus_is_blank => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).map_err(|_| UrlError::Escape)
}

/// The text of a URL with its password hidden, as errors and the screen show it.
pub fn redact(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, host)) = authority.rsplit_once('@') else { return text.to_owned() };
    let Some((name, _)) = user.split_once(':') else { return text.to_owned() };
    format!("{scheme}://{name}:xxxxx@{host}{}", &rest[authority.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_go() {
        let url = UrlParts::parse("HTTPS://u:p@Host:8/a%20b/c.git?x=1&y=a+b&z#main%3Asub").unwrap();
        assert_eq!((url.scheme.as_str(), url.user.as_str(), url.host.as_str()), ("https", "u:p", "Host:8"));
        assert_eq!((url.path.as_str(), url.fragment.as_str()), ("/a b/c.git", "main:sub"));
        assert_eq!(url.bare, "https://u:p@Host:8/a%20b/c.git");
        let pairs: Vec<(&str, &str)> = url.query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("x", "1"), ("y", "a b"), ("z", "")]);
        assert_eq!((url.file_name(), url.host_name()), (Some("c.git"), "Host"));
        assert_eq!(UrlParts::parse("http://[::1]:8/").unwrap().host_name(), "::1");
        assert_eq!(UrlParts::parse("http://h/").unwrap().file_name(), None);
        for (text, error) in [
            ("a/b", UrlError::NoScheme),
            ("://x", UrlError::NoScheme),
            ("1a://x", UrlError::NoScheme),
            ("http://h/%zz", UrlError::Escape),
            ("http://h/%ff", UrlError::Escape),
            ("http://a b/", UrlError::Host),
            ("http://h/\n", UrlError::ControlCharacter),
        ] {
            assert_eq!(UrlParts::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(redact("https://u:secret@h/x?y#z"), "https://u:xxxxx@h/x?y#z");
        assert_eq!(redact("https://u@h/x"), "https://u@h/x");
        assert_eq!(redact("git@h:x"), "git@h:x");
        assert_eq!(redact("http://h/a:b@c"), "http://h/a:b@c");
    }
}
