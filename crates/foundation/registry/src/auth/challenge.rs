//! In: WWW-Authenticate header values. Out: the challenges in them. Never: a panic or a loop, whatever the text is.

/// Most bytes of one header value that are looked at.
const HEADER_SIZE_MAX: usize = 8 << 10;

/// How a registry wants to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token from a service.
    Bearer {
        /// URL of the token service.
        realm: String,
        service: String,
        /// What the registry itself says the token must allow.
        scopes: Vec<String>,
        /// `insufficient_scope`, `invalid_token`: why the token that was sent is not enough.
        error: Option<String>,
    },
}

/// One scheme with its parameters.
#[derive(Debug, Default)]
struct Raw {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Raw {
    fn get(&self, name: &str) -> Option<String> {
        self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    }
}

/// The challenge to follow among those of all header values: Bearer before Basic, others are not known.
pub(crate) fn choose<'a>(headers: impl Iterator<Item = &'a [u8]>) -> Option<Challenge> {
    let mut basic = None;
    for header in headers {
        for raw in parse(&String::from_utf8_lossy(&header[..header.len().min(HEADER_SIZE_MAX)])) {
            if raw.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Challenge::Basic);
            } else if raw.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = raw.get("realm")
            {
                let scopes = raw.get("scope").unwrap_or_default();
                return Some(Challenge::Bearer {
                    realm,
                    service: raw.get("service").unwrap_or_default(),
                    scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
                    error: raw.get("error"),
                });
            }
        }
    }
    basic
}

/// Splits a header value: `Scheme key=value, key="value", Scheme key=value` (RFC 9110 §11.6.1).
fn parse(text: &str) -> Vec<Raw> {
    let mut found: Vec<Raw> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let length = rest.find(|c: char| !is_token(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        if word.is_empty() {
            // Something that is no token: skip one character, so that every turn makes progress.
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return found;
            }
            rest = characters.as_str();
            continue;
        }
        let behind = after.trim_start_matches([' ', '\t']);
        match (behind.strip_prefix('='), found.last_mut()) {
            (Some(value), Some(current)) => {
                let (value, after) = parse_value(value.trim_start_matches([' ', '\t']));
                current.parameters.push((word.to_owned(), value));
                rest = after;
            }
            (Some(value), None) => rest = value,
            (None, _) => {
                found.push(Raw { scheme: word.to_owned(), parameters: Vec::new() });
                rest = after;
            }
        }
    }
}

/// A token, or a quoted string with backslash escapes; one whose quote never closes ends with the header.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let length = text.find([',', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(length);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~/".contains(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_one(text: &str) -> Option<Challenge> {
        choose([text.as_bytes()].into_iter())
    }

    fn bearer(realm: &str, service: &str, scopes: &[&str], error: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.into(),
            service: service.into(),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            error: error.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_of_real_registries() {
        let rows = [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull",error="insufficient_scope""#,
                bearer(
                    "https://auth.docker.io/token",
                    "registry.docker.io",
                    &["repository:library/alpine:pull"],
                    Some("insufficient_scope"),
                ),
            ),
            (r#"bearer realm = "https://x/t?a=b,c" , service=plain"#, bearer("https://x/t?a=b,c", "plain", &[], None)),
            (r#"Basic realm="a \"quoted\" realm", Bearer realm="r",scope="a b""#, bearer("r", "", &["a", "b"], None)),
            (r#"Basic realm="Registry Realm""#, Some(Challenge::Basic)),
            ("BASIC", Some(Challenge::Basic)),
            ("Negotiate, Basic realm=x", Some(Challenge::Basic)),
            ("Negotiate", None),
            ("Bearer service=x", None),
            ("", None),
            (r#"Bearer realm="never closed"#, bearer("never closed", "", &[], None)),
        ];
        for (text, want) in rows {
            assert_eq!(choose_one(text), want, "{text}");
        }
        let two = choose([&b"Basic realm=x"[..], &b"Bearer realm=y"[..]].into_iter());
        assert_eq!(two, bearer("y", "", &[], None));
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends(text in "(\\PC|[\"=,\\\\ a]){0,200}") {
            let _ = choose_one(&text);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = choose([&bytes[..]].into_iter());
        }

        #[test]
        fn quoted_values_come_back(realm in "[ -~]{1,60}", scope in "[a-z:/,]{1,20}") {
            let escaped = realm.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("Bearer realm=\"{escaped}\",scope=\"{scope}\"");
            proptest::prop_assert_eq!(choose_one(&text), bearer(&realm, "", &[&scope], None));
        }
    }
}
