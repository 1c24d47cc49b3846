//! In: `--driver-opt`, `--buildkitd-flags`, `--buildkitd-config` as typed. Out: options, words and files of a node. Never: one that its driver does not know.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::BuildersError;
use crate::group::Driver;

/// The name under which a daemon's configuration is kept.
const CONFIG_NAME: &str = "buildkitd.toml";
/// Added to flags when nothing is said about the network: a container's network is its own anyway.
const ALLOW_HOST_NETWORK: &str = "--allow-insecure-entitlement=network.host";
const ENTITLEMENT_FLAG: &str = "--allow-insecure-entitlement";

const CONTAINER_OPTIONS: &[&str] = &[
    "cgroup-parent",
    "cpu-period",
    "cpu-quota",
    "cpu-shares",
    "cpuset-cpus",
    "cpuset-mems",
    "default-load",
    "gpus",
    "image",
    "memory",
    "memory-swap",
    "network",
    "provenance-add-gha",
    "restart-policy",
];
const REMOTE_OPTIONS: &[&str] = &["cacert", "cert", "default-load", "key", "servername", "timeout"];
const KUBERNETES_OPTIONS: &[&str] = &[
    "annotations",
    "default-load",
    "image",
    "labels",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "loadbalance",
    "namespace",
    "nodeselector",
    "qemu.image",
    "qemu.install",
    "replicas",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.persistent-storage",
    "rootless",
    "schedulername",
    "serviceaccount",
    "timeout",
    "tolerations",
    "buildkit-root-volume-memory",
    "persistent-volume-claim.storage-class",
];

/// Options of a driver, from comma lists.
///
/// # Errors
/// When a field has no `=`.
pub fn driver_opts(words: &[String]) -> Result<Option<BTreeMap<String, String>>, BuildersError> {
    let mut options = BTreeMap::new();
    for word in words {
        for field in csv_fields(word) {
            let Some((key, value)) = field.split_once('=') else { return Err(BuildersError::DriverOption(field)) };
            options.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok((!options.is_empty()).then_some(options))
}

/// The fields of a comma list; quotes keep commas, two quotes inside are one.
fn csv_fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let field = fields.last_mut().expect("there is always a field");
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted || field.is_empty() => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            letter => field.push(letter),
        }
    }
    fields
}

/// The first option the driver does not know, in its words.
pub fn unknown_option(driver: &Driver, options: &BTreeMap<String, String>) -> Option<String> {
    let known = match driver {
        Driver::DockerContainer => CONTAINER_OPTIONS,
        Driver::Remote => REMOTE_OPTIONS,
        Driver::Kubernetes => KUBERNETES_OPTIONS,
        Driver::Embedded | Driver::Docker | Driver::Other(_) => return None,
    };
    let prefixed = |key: &str| key.starts_with("env.") && !matches!(driver, Driver::Remote);
    let unknown = options.keys().find(|key| !known.contains(&key.as_str()) && !prefixed(key))?;
    Some(format!("invalid driver option {unknown} for {} driver", driver.name()))
}

/// Files of a node: the daemon's configuration, when one is named.
///
/// # Errors
/// When it cannot be read, or is no TOML.
pub fn files(config: Option<&str>) -> Result<BTreeMap<String, Vec<u8>>, BuildersError> {
    let mut files = BTreeMap::new();
    if let Some(path) = config.filter(|path| !path.is_empty()) {
        let path = Path::new(path);
        let bytes = fs_err::read(path).map_err(BuildersError::ConfigMissing)?;
        parse(path, &bytes)?;
        files.insert(CONFIG_NAME.to_owned(), bytes);
    }
    Ok(files)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<toml::Table, BuildersError> {
    let broken = |reason: String| BuildersError::ConfigBroken { path: path.to_owned(), reason };
    let text = std::str::from_utf8(bytes).map_err(|error| broken(error.to_string()))?;
    text.parse().map_err(|error: toml::de::Error| broken(error.to_string()))
}

/// The daemon's flags: those typed, split as a shell splits them, and the one buildx adds.
///
/// # Errors
/// When a quote is not closed.
pub fn flags(
    typed: Option<&str>,
    driver: &Driver,
    options: &BTreeMap<String, String>,
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Option<Vec<String>>, BuildersError> {
    let mut words = match typed.filter(|text| !text.is_empty()) {
        Some(text) => shell_words(text).ok_or_else(|| BuildersError::Flags(text.to_owned()))?,
        None => Vec::new(),
    };
    let allowed = entitlements(&words);
    let host_allowed = allowed.iter().any(|entitlement| entitlement == "network.host");
    let host_wanted = *driver == Driver::DockerContainer && options.get("network").is_some_and(|mode| mode == "host");
    let in_container = matches!(driver, Driver::DockerContainer | Driver::Kubernetes);
    let nothing_said = allowed.is_empty() && !configured_host_network(files);
    if (host_wanted && !host_allowed) || (in_container && nothing_said && !host_wanted) {
        words.push(ALLOW_HOST_NETWORK.to_owned());
    }
    Ok((!words.is_empty()).then_some(words))
}

fn entitlements(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == ENTITLEMENT_FLAG {
            found.extend(words.next().cloned());
        } else if let Some(value) = word.strip_prefix(ENTITLEMENT_FLAG).and_then(|rest| rest.strip_prefix('=')) {
            found.push(value.to_owned());
        }
    }
    found
}

fn configured_host_network(files: &BTreeMap<String, Vec<u8>>) -> bool {
    let Some(bytes) = files.get(CONFIG_NAME) else { return false };
    let Ok(table) = parse(Path::new(CONFIG_NAME), bytes) else { return false };
    let list = table.get("insecure-entitlements").and_then(toml::Value::as_array);
    list.is_some_and(|list| list.iter().any(|value| value.as_str() == Some("network.host")))
}

/// Words as a shell splits them; `None` when a quote is not closed.
fn shell_words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (Some(open), letter) if open == letter => quote = None,
            (None | Some('"'), '\\') => word.get_or_insert_default().push(letters.next()?),
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return None;
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn options_of_drivers() {
        let words = ["image=x:1,env.FOO=bar=baz".to_owned(), "\"memory=1g\",\"env.A=b,c \"\"d\"\"\"".to_owned()];
        let options = driver_opts(&words).unwrap().unwrap();
        let expected = [("image", "x:1"), ("env.FOO", "bar=baz"), ("memory", "1g"), ("env.A", "b,c \"d\"")];
        assert_eq!(options, map(&expected));
        assert_eq!(unknown_option(&Driver::DockerContainer, &options), None);
        assert_eq!(
            unknown_option(&Driver::Remote, &map(&[("foo", "bar")])).unwrap(),
            "invalid driver option foo for remote driver"
        );
        assert_eq!(driver_opts(&["foo".into()]).unwrap_err().to_string(), "invalid value \"foo\", expecting k=v");
        assert_eq!(driver_opts(&[]).unwrap(), None);
    }

    #[test]
    fn flags_of_daemons() {
        let (none, no_options) = (BTreeMap::new(), BTreeMap::new());
        let of = |typed: &str, driver: &Driver, options: &[(&str, &str)]| {
            flags(Some(typed), driver, &map(options), &none).unwrap().unwrap_or_default()
        };
        assert_eq!(of("", &Driver::Remote, &[]), Vec::<String>::new());
        assert_eq!(of("", &Driver::DockerContainer, &[]), [ALLOW_HOST_NETWORK]);
        assert_eq!(
            of("--debug --trace \"a b\" c\\ d 'e\"f'", &Driver::Remote, &[]),
            ["--debug", "--trace", "a b", "c d", "e\"f"]
        );
        let security = "--allow-insecure-entitlement security.insecure";
        assert_eq!(of(security, &Driver::DockerContainer, &[]).len(), 2, "something was said: nothing is added");
        assert_eq!(of(security, &Driver::DockerContainer, &[("network", "host")]).len(), 3);
        assert_eq!(of(ALLOW_HOST_NETWORK, &Driver::DockerContainer, &[("network", "host")]).len(), 1);
        let config = BTreeMap::from([(CONFIG_NAME.to_owned(), b"insecure-entitlements = [\"network.host\"]".to_vec())]);
        assert_eq!(flags(None, &Driver::Kubernetes, &no_options, &config).unwrap(), None);
        assert!(matches!(flags(Some("'a"), &Driver::Remote, &no_options, &none), Err(BuildersError::Flags(_))));
    }
}
