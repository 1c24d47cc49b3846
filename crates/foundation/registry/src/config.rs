//! In: our configuration files and Docker's. Out: what host and user say about each registry. Never: a path a test cannot set, a broken file passed over.
//!
//! Order of files (a later one overrides single keys of an earlier one): `$CROSSDOCK_CONFIG` alone when it is set, else
//! `/etc/crossdock/config.toml`, then `$XDG_CONFIG_HOME/crossdock/config.toml` (default `~/.config`). Docker's
//! `daemon.json` adds mirrors of docker.io behind ours and insecure registries; `certs.d/HOST` adds certificates.

mod docker;
mod network;
mod ours;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::RegistryError;
pub(crate) use network::Network;

/// The domain of Docker Hub in references.
pub(crate) const HUB_DOMAIN: &str = "docker.io";
/// The host that serves Docker Hub's registry.
pub(crate) const HUB_HOST: &str = "registry-1.docker.io";
/// All names under which Docker Hub is written in configuration files.
const HUB_NAMES: [&str; 3] = [HUB_DOMAIN, HUB_HOST, "index.docker.io"];

/// Where CA certificates of the system are kept by the common distributions.
const SYSTEM_CA_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Where configuration is looked for.
#[derive(Debug, Clone, Default)]
pub struct ConfigPaths {
    /// Our own files; a later one overrides an earlier one. One that is missing is no error.
    pub config_files: Vec<PathBuf>,
    /// Our own file that must be there (`$CROSSDOCK_CONFIG`).
    pub required_file: Option<PathBuf>,
    /// Docker's `daemon.json` files.
    pub daemon_files: Vec<PathBuf>,
    /// Docker's `certs.d` directories.
    pub certificate_dirs: Vec<PathBuf>,
    /// Bundles of the system's CA certificates; the first that exists is used.
    pub ca_bundles: Vec<PathBuf>,
}

impl ConfigPaths {
    /// The paths of this host and user.
    pub fn from_environment() -> Self {
        let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = env("HOME");
        let user_config = env("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
        let docker_config = env("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker")));
        let mut paths = Self { required_file: env("CROSSDOCK_CONFIG"), ..Self::default() };
        if paths.required_file.is_none() {
            paths.config_files.push("/etc/crossdock/config.toml".into());
            paths.config_files.extend(user_config.as_ref().map(|dir| dir.join("crossdock/config.toml")));
        }
        paths.daemon_files.push("/etc/docker/daemon.json".into());
        // Rootless Docker keeps its own pair below the user's configuration directory.
        paths.daemon_files.extend(user_config.as_ref().map(|dir| dir.join("docker/daemon.json")));
        paths.certificate_dirs.push("/etc/docker/certs.d".into());
        paths.certificate_dirs.extend(user_config.as_ref().map(|dir| dir.join("docker/certs.d")));
        paths.certificate_dirs.extend(docker_config.map(|dir| dir.join("certs.d")));
        paths.ca_bundles.extend(env("SSL_CERT_FILE"));
        paths.ca_bundles.extend(SYSTEM_CA_BUNDLES.iter().map(PathBuf::from));
        paths
    }
}

/// How to reach one mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Host and port.
    pub authority: String,
    /// Path in front of every repository name, without slashes at its ends; mostly empty.
    pub prefix: String,
    /// Whether the scheme was written, and was `http`.
    pub http: Option<bool>,
}

/// What is said about one registry in all files of our own.
#[derive(Debug, Clone, Default)]
struct RegistryTable {
    mirrors: Option<Vec<Mirror>>,
    http: Option<bool>,
    insecure: Option<bool>,
    ca: Option<Vec<PathBuf>>,
    keypairs: Option<Vec<KeyPair>>,
    certificate_dirs: Option<Vec<PathBuf>>,
}

/// A client certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPair {
    pub key: PathBuf,
    pub cert: PathBuf,
}

/// Everything known about how to connect to a host, before its certificates are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostSettings {
    /// Plain HTTP only (true) or never (false), when written.
    pub http: Option<bool>,
    /// HTTPS unverified, and plain HTTP when HTTPS does not answer.
    pub insecure: bool,
    pub ca: Vec<PathBuf>,
    pub keypairs: Vec<KeyPair>,
}

/// What host and user say about registries.
#[derive(Debug, Clone, Default)]
pub struct Config {
    registries: BTreeMap<String, RegistryTable>,
    hub_mirrors: Vec<Mirror>,
    insecure_hosts: Vec<String>,
    insecure_networks: Vec<Network>,
    certificate_dirs: Vec<PathBuf>,
    ca_bundles: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl Config {
    /// Reads every file that is there.
    ///
    /// # Errors
    /// When one cannot be read or understood; the error names file and line.
    pub fn load(paths: &ConfigPaths) -> Result<Self, RegistryError> {
        let mut config = Self {
            certificate_dirs: paths.certificate_dirs.clone(),
            ca_bundles: paths.ca_bundles.clone(),
            ..Self::default()
        };
        for path in &paths.config_files {
            if let Some(text) = read_if_there(path)? {
                config.add_ours(path, &text)?;
            }
        }
        if let Some(path) = &paths.required_file {
            let text = fs_err::read_to_string(path)
                .map_err(|source| RegistryError::ConfigRead { path: path.clone(), source })?;
            config.add_ours(path, &text)?;
        }
        for path in &paths.daemon_files {
            config.add_daemon_file(path)?;
        }
        Ok(config)
    }

    /// A configuration from the text of one file of ours, as tests and embedders write it.
    ///
    /// # Errors
    /// When the text cannot be understood; the error calls it `config.toml`.
    pub fn from_toml(text: &str) -> Result<Self, RegistryError> {
        let mut config = Self { ca_bundles: SYSTEM_CA_BUNDLES.iter().map(PathBuf::from).collect(), ..Self::default() };
        config.add_ours(Path::new("config.toml"), text)?;
        Ok(config)
    }

    /// Lets the registry be spoken to without TLS, or with a certificate nobody vouches for.
    pub(crate) fn allow_insecure(&mut self, authority: &str) {
        self.registries.entry(authority.to_owned()).or_default().insecure = Some(true);
    }

    /// What was left out and should be said to the user.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Bundles of CA certificates, the first that exists to be used.
    pub(crate) fn ca_bundles(&self) -> &[PathBuf] {
        &self.ca_bundles
    }

    /// The mirrors of a domain, in the order they are to be tried.
    pub(crate) fn mirrors(&self, domain: &str) -> Vec<Mirror> {
        let mut mirrors = self.tables(domain).find_map(|table| table.mirrors.clone()).unwrap_or_default();
        if domain == HUB_DOMAIN {
            for mirror in &self.hub_mirrors {
                if !mirrors.contains(mirror) {
                    mirrors.push(mirror.clone());
                }
            }
        }
        mirrors
    }

    /// How to connect to `authority` (host, or host:port).
    ///
    /// # Errors
    /// When a directory of certificates for the host is incomplete or cannot be read.
    pub(crate) fn host(&self, authority: &str) -> Result<HostSettings, RegistryError> {
        let mut settings = HostSettings::default();
        let mut insecure = None;
        let mut directories = Vec::new();
        for table in self.tables(authority) {
            settings.http = settings.http.or(table.http);
            insecure = insecure.or(table.insecure);
            settings.ca.extend(table.ca.iter().flatten().cloned());
            settings.keypairs.extend(table.keypairs.iter().flatten().cloned());
            directories.extend(table.certificate_dirs.iter().flatten().cloned());
        }
        for name in names_of(authority) {
            directories.extend(self.certificate_dirs.iter().map(|dir| dir.join(name)));
        }
        for directory in &directories {
            docker::add_certificate_dir(authority, directory, &mut settings)?;
        }
        let loopback = is_loopback(authority);
        settings.insecure = insecure.unwrap_or_else(|| {
            // As Docker does, loopback counts as insecure; certificates written for it say otherwise.
            (loopback && settings.ca.is_empty()) || self.is_insecure_in_docker(authority)
        });
        Ok(settings)
    }

    /// The tables that speak of a host, under any of its names.
    fn tables<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a RegistryTable> {
        names_of(name).into_iter().filter_map(|name| self.registries.get(name))
    }

    fn is_insecure_in_docker(&self, authority: &str) -> bool {
        if self.insecure_hosts.iter().any(|host| names_of(authority).contains(&host.as_str())) {
            return true;
        }
        if self.insecure_networks.is_empty() {
            return false;
        }
        // Docker resolves the name and asks for each address, too.
        addresses_of(authority).iter().any(|address| self.insecure_networks.iter().any(|net| net.contains(address)))
    }
}

/// All names a host goes by in configuration files.
fn names_of(name: &str) -> Vec<&str> {
    if HUB_NAMES.contains(&name) { HUB_NAMES.to_vec() } else { vec![name] }
}

fn read_if_there(path: &Path) -> Result<Option<String>, RegistryError> {
    match fs_err::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(source) if matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(RegistryError::ConfigRead { path: path.to_owned(), source }),
    }
}

/// The line, counted from 1, of a byte of a text.
pub(crate) fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
}

/// `host:port` without its port, and without the brackets of IPv6.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.contains(':') => host,
        _ => authority,
    }
}

/// `localhost`, a name below it, 127.0.0.0/8 or `[::1]`.
pub(crate) fn is_loopback(authority: &str) -> bool {
    let host = host_of(authority);
    host.eq_ignore_ascii_case("localhost")
        || host.to_ascii_lowercase().ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn addresses_of(authority: &str) -> Vec<IpAddr> {
    use std::net::ToSocketAddrs as _;
    let host = host_of(authority);
    if let Ok(address) = host.parse() {
        return vec![address];
    }
    (host, 443_u16).to_socket_addrs().map(|found| found.map(|socket| socket.ip()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
