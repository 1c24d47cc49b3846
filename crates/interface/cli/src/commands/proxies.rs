//! In: Docker's config.json. Out: the proxies it names, as variables in both cases. Never: a proxy of this program's own environment.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::face::Session;

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

/// The proxies of config.json, each under both its names.
pub fn of(session: &Session) -> Vec<(String, String)> {
    let path = session.docker().config_dir().join("config.json");
    // Whoever needs the file says what is wrong with it.
    let Ok(text) = fs_err::read(path) else { return Vec::new() };
    let Ok(config) = serde_json::from_slice::<Proxies>(&text) else { return Vec::new() };
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    config.proxies.get(&host).or_else(|| config.proxies.get("default")).map(variables).unwrap_or_default()
}

fn variables(found: &ProxyConfig) -> Vec<(String, String)> {
    let pairs = [
        ("HTTP_PROXY", &found.http_proxy),
        ("HTTPS_PROXY", &found.https_proxy),
        ("NO_PROXY", &found.no_proxy),
        ("FTP_PROXY", &found.ftp_proxy),
        ("ALL_PROXY", &found.all_proxy),
    ];
    let given = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    given.flat_map(|(name, value)| [name.to_owned(), name.to_lowercase()].map(|name| (name, value.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_in_both_cases() {
        let text = r#"{"auths":{},"proxies":{"default":{"httpProxy":"http://p","noProxy":"n"}}}"#;
        let config: Proxies = serde_json::from_str(text).unwrap();
        let pairs = variables(&config.proxies["default"]);
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [("HTTP_PROXY", "http://p"), ("http_proxy", "http://p"), ("NO_PROXY", "n"), ("no_proxy", "n")]
        );
    }
}
