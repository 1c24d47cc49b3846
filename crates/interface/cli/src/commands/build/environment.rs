//! In: variables of the environment, Docker's config.json. Out: what they mean for a build. Never: a variable set.

use std::collections::BTreeMap;

use crossdock_build::ArchCheck;
use serde::Deserialize;

use crate::error::{CliError, say};
use crate::face::{Face, Session};

/// Whether the legacy builder is asked for.
const BUILDKIT_VARIABLE: &str = "DOCKER_BUILDKIT";

/// Reads `DOCKER_BUILDKIT` as Docker's client does: `buildx` does not look at it.
///
/// # Errors
/// When it is no boolean.
pub fn check(session: &Session) -> Result<(), CliError> {
    if session.face == Face::Plugin {
        return Ok(());
    }
    match std::env::var(BUILDKIT_VARIABLE).unwrap_or_default().as_str() {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => {
            say(
                "WARNING: DOCKER_BUILDKIT=0 asks for the legacy builder, which is not part of this program; building without it",
            );
            Ok(())
        }
        other => Err(CliError::Usage(format!(
            "{BUILDKIT_VARIABLE} environment variable expects boolean value: strconv.ParseBool: parsing {other:?}: invalid syntax"
        ))),
    }
}

/// What is done about programs for another architecture than their image's.
const ARCH_CHECK_VARIABLE: &str = "CROSSDOCK_ARCH_CHECK";

/// Reads `CROSSDOCK_ARCH_CHECK`.
///
/// # Errors
/// When it is none of its words.
pub fn arch_check() -> Result<ArchCheck, CliError> {
    let word = std::env::var(ARCH_CHECK_VARIABLE).unwrap_or_default();
    ArchCheck::parse(&word)
        .ok_or_else(|| CliError::Usage(format!("{ARCH_CHECK_VARIABLE}={word}: off, warn and fail are its words")))
}

/// The part of config.json that speaks of proxies; a section for each engine, `default` for all others.
#[derive(Debug, Default, Deserialize)]
struct Proxies {
    #[serde(default)]
    proxies: BTreeMap<String, ProxyConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ProxyConfig {
    http_proxy: String,
    https_proxy: String,
    no_proxy: String,
    ftp_proxy: String,
    all_proxy: String,
}

/// Adds the proxies of config.json as build arguments, in both cases, where none of that name is given.
pub fn add_proxies(session: &Session, build_args: &mut BTreeMap<String, String>) {
    let path = session.docker().config_dir().join("config.json");
    // Whoever needs the file says what is wrong with it.
    let Ok(text) = fs_err::read(path) else { return };
    let Ok(config) = serde_json::from_slice::<Proxies>(&text) else { return };
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    let Some(found) = config.proxies.get(&host).or_else(|| config.proxies.get("default")) else { return };
    add(found, build_args);
}

fn add(found: &ProxyConfig, build_args: &mut BTreeMap<String, String>) {
    let pairs = [
        ("HTTP_PROXY", &found.http_proxy),
        ("HTTPS_PROXY", &found.https_proxy),
        ("NO_PROXY", &found.no_proxy),
        ("FTP_PROXY", &found.ftp_proxy),
        ("ALL_PROXY", &found.all_proxy),
    ];
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        for name in [name.to_owned(), name.to_lowercase()] {
            build_args.entry(name).or_insert_with(|| value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_in_both_cases_and_give_way_to_what_is_given() {
        let text = r#"{"auths":{},"proxies":{"default":{"httpProxy":"http://p","noProxy":"n"}}}"#;
        let config: Proxies = serde_json::from_str(text).unwrap();
        let mut args = BTreeMap::from([("http_proxy".to_owned(), "mine".to_owned())]);
        add(&config.proxies["default"], &mut args);
        let pairs: Vec<(&str, &str)> = args.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("HTTP_PROXY", "http://p"), ("NO_PROXY", "n"), ("http_proxy", "mine"), ("no_proxy", "n")]);
    }
}
