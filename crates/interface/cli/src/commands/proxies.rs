//! In: Docker's config.json. Out: the proxies it names, as variables in both cases. Never: a proxy of this program's own environment.

use serde::Deserialize;
use serde_json::Value;

use crate::face::Session;

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
    // Whoever needs the file says what is wrong with it.
    let Ok(file) = session.docker().config_file() else { return Vec::new() };
    file.proxies(&std::env::var("DOCKER_HOST").unwrap_or_default()).map(variables).unwrap_or_default()
}

fn variables(section: &Value) -> Vec<(String, String)> {
    let found = ProxyConfig::deserialize(section).unwrap_or_default();
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
        let pairs = variables(&serde_json::json!({"httpProxy": "http://p", "noProxy": "n"}));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            pairs,
            [("HTTP_PROXY", "http://p"), ("http_proxy", "http://p"), ("NO_PROXY", "n"), ("no_proxy", "n")]
        );
    }
}
