//! In: `--secret`, `--ssh`, `--allow`, `--network`, `--add-host`, `--ulimit`, `--shm-size`. Out: what steps are given and may do. Never: a secret's value read here.

mod agent;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use crossdock_build::{Given, SecretSource};
use crossdock_dockerfile::csv;
use crossdock_frontend::Entitlements;
use crossdock_llb::Network;
use crossdock_llb::op::Ulimit;

use crate::args::build::BuildArgs;
use crate::error::CliError;

pub use agent::KeyAgent;

/// Limits a process can be given, as Docker names them.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// What a build's steps are given and may do.
pub struct Grants {
    pub given: Given,
    pub entitlements: Entitlements,
    pub network: Network,
    pub extra_hosts: Vec<(String, String)>,
    pub ulimits: Vec<Ulimit>,
    pub shm_size_bytes: Option<i64>,
    /// Agents that serve keys of files; they end with the build.
    #[expect(dead_code, reason = "held, not read: dropping it ends the agents")]
    pub agents: Vec<KeyAgent>,
}

impl Grants {
    /// Reads the flags; starts an ssh agent where keys are given as files.
    pub fn of(args: &BuildArgs) -> Result<Self, CliError> {
        let flags = &args.later;
        let mut entitlements = entitlements(&flags.allow)?;
        let network = network(flags.network.as_deref().unwrap_or("default"))?;
        // Who asks for the host's network in words has allowed it.
        entitlements.network_host |= network == Network::Host;
        let mut agents = Vec::new();
        let given = Given { secrets: secrets(&flags.secret)?, agents: ssh(&flags.ssh, &mut agents)? };
        Ok(Self {
            given,
            entitlements,
            network,
            extra_hosts: hosts(&flags.add_host)?,
            ulimits: flags.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?,
            shm_size_bytes: flags.shm_size.as_deref().map(size).transpose()?,
            agents,
        })
    }
}

fn usage(text: impl Into<String>) -> CliError {
    let text: String = text.into();
    CliError::Usage(format!("failed to build: {text}"))
}

/// `[type=file|env,]id=ID[,src=FILE][,env=VARIABLE]`
fn secrets(words: &[String]) -> Result<BTreeMap<String, SecretSource>, CliError> {
    let mut all = BTreeMap::new();
    for word in words {
        let (id, source) = secret(word)?;
        if let SecretSource::File(path) = &source
            && let Err(error) = path.metadata()
        {
            return Err(usage(format!("--secret {word}: {}: {error}", path.display())));
        }
        all.insert(id, source);
    }
    Ok(all)
}

fn secret(word: &str) -> Result<(String, SecretSource), CliError> {
    let bad = |why: &str| usage(format!("invalid secret {word:?}: {why}; write id=ID,src=FILE or id=ID,env=VARIABLE"));
    let (mut id, mut kind, mut source, mut variable) = (None, None, None, None);
    for field in csv::fields(word).map_err(|error| bad(&error.to_string()))? {
        let Some((key, value)) = field.split_once('=') else {
            return Err(bad(&format!("{field:?} must be key=value")));
        };
        let value = value.to_owned();
        match key.to_lowercase().as_str() {
            "type" if matches!(value.as_str(), "file" | "env") => kind = Some(value),
            "type" => return Err(bad(&format!("unsupported secret type {value:?}"))),
            "id" => id = Some(value),
            "source" | "src" => source = Some(value),
            "env" => variable = Some(value),
            other => return Err(bad(&format!("unexpected key {other:?}"))),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| bad("it has no id"))?;
    let source = match (kind.as_deref(), source, variable) {
        (Some("env"), source, variable) => SecretSource::Env(variable.or(source).unwrap_or_else(|| id.clone())),
        (_, Some(path), _) => SecretSource::File(path.into()),
        (Some("file"), None, _) => SecretSource::File(id.clone().into()),
        (_, None, Some(name)) => SecretSource::Env(name),
        // Nothing says where: a variable of the secret's name, else a file.
        (_, None, None) if std::env::var_os(&id).is_some() => SecretSource::Env(id.clone()),
        (_, None, None) => SecretSource::File(id.clone().into()),
    };
    Ok((id, source))
}

/// `default`, `ID`, `ID=SOCKET`, `ID=KEY,KEY`
fn ssh(words: &[String], agents: &mut Vec<KeyAgent>) -> Result<BTreeMap<String, PathBuf>, CliError> {
    use std::os::unix::fs::FileTypeExt;
    let mut all = BTreeMap::new();
    for word in words {
        let (id, paths) = word.split_once('=').unwrap_or((word, ""));
        let paths: Vec<PathBuf> =
            paths.split(',').filter(|path| !path.is_empty() && !path.starts_with("raw=")).map(PathBuf::from).collect();
        let socket = match &paths[..] {
            [] => std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty()).map(PathBuf::from).ok_or_else(
                || usage(format!("--ssh {word}: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set, or name a socket or keys: --ssh {id}=PATH")),
            )?,
            [first, rest @ ..] => {
                let status = first
                    .metadata()
                    .map_err(|error| usage(format!("--ssh {word}: {}: {error}", first.display())))?;
                if status.file_type().is_socket() {
                    if !rest.is_empty() {
                        return Err(usage(format!("--ssh {word}: only a single socket allowed")));
                    }
                    first.clone()
                } else {
                    let agent = KeyAgent::start(&paths).map_err(|why| usage(format!("--ssh {word}: {why}")))?;
                    let socket = agent.socket();
                    agents.push(agent);
                    socket
                }
            }
        };
        all.insert(id.to_owned(), socket);
    }
    Ok(all)
}

fn entitlements(words: &[String]) -> Result<Entitlements, CliError> {
    let mut all = Entitlements::default();
    for word in words.iter().flat_map(|word| word.split(',')) {
        match word {
            "network.host" => all.network_host = true,
            "security.insecure" => all.security_insecure = true,
            // There are no devices to allow; who asks for one in the Dockerfile is told so there.
            word if word == "device" || word.starts_with("device=") => {}
            "buildx.local.delete" => {}
            other => {
                return Err(usage(format!(
                    "invalid entitlement {other:?}: network.host, security.insecure and device are known"
                )));
            }
        }
    }
    Ok(all)
}

fn network(word: &str) -> Result<Network, CliError> {
    match word {
        "" | "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        other => Err(usage(format!(
            "network mode {other:?} not supported: default, none and host are; steps use the host's network unless they say none"
        ))),
    }
}

/// `HOST:IP` or `HOST=IP`; an IPv6 address may stand in brackets.
fn hosts(words: &[String]) -> Result<Vec<(String, String)>, CliError> {
    let mut all = Vec::new();
    for word in words.iter().flat_map(|word| word.split(',')).filter(|word| !word.is_empty()) {
        let bad = |why: &str| usage(format!("invalid --add-host {word:?}: {why}; write HOST:IP"));
        let (host, address) = word.split_once('=').or_else(|| word.split_once(':')).ok_or_else(|| bad("no address"))?;
        if host.is_empty() {
            return Err(bad("no host name"));
        }
        if address == "host-gateway" {
            return Err(bad(
                "host-gateway needs a Docker engine's network; steps here use the host's, so 127.0.0.1 is it",
            ));
        }
        let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if plain.parse::<IpAddr>().is_err() {
            return Err(bad("not an IP address"));
        }
        all.push((host.to_owned(), plain.to_owned()));
    }
    Ok(all)
}

/// `NAME=SOFT[:HARD]`
fn ulimit(text: &str) -> Result<Ulimit, CliError> {
    let bad = |why: &str| {
        CliError::bad_flag("--ulimit", text, &format!("invalid ulimit argument: {text}: {why}; write NAME=SOFT[:HARD]"))
    };
    let (name, limits) = text.split_once('=').ok_or_else(|| bad("no value"))?;
    if !ULIMITS.contains(&name) {
        return Err(bad(&format!("unknown limit; known are {}", ULIMITS.join(", "))));
    }
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().ok().filter(|value| *value >= -1);
    let (Some(soft), Some(hard)) = (number(soft), number(hard)) else { return Err(bad("not a number")) };
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(bad("the soft limit is above the hard one"));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// A size such as `64m`, `1.5g`, `1000`; factors are powers of 1024.
fn size(text: &str) -> Result<i64, CliError> {
    let bad = || {
        let why = format!("invalid size: '{text}': write a number and b, k, m or g");
        CliError::bad_flag("--shm-size", text, &why)
    };
    let lower = text.trim().to_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let power = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(bad()),
    };
    let bytes = number * 1024_f64.powi(power);
    if !(0.0..9.0e18).contains(&bytes) {
        return Err(bad());
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked above")]
    Ok(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_say_where_they_are() {
        let of = |text: &str| secret(text).map(|(id, source)| (id, format!("{source:?}"))).map_err(|e| e.to_string());
        assert_eq!(of("id=a,src=/x").unwrap().1, "File(\"/x\")");
        assert_eq!(of("id=a,env=B").unwrap().1, "Env(\"B\")");
        assert_eq!(of("type=env,id=a").unwrap().1, "Env(\"a\")");
        assert_eq!(of("type=env,id=a,src=C").unwrap().1, "Env(\"C\")");
        assert_eq!(of("id=PATH").unwrap().1, "Env(\"PATH\")");
        assert_eq!(of("id=no_such_variable").unwrap().1, "File(\"no_such_variable\")");
        for bad in ["src=x", "id=", "a", "id=a,type=x", "id=a,b=c"] {
            assert!(of(bad).unwrap_err().contains("invalid secret"), "{bad}");
        }
    }

    #[test]
    fn hosts_limits_and_sizes() {
        let words = ["a:10.0.0.1".to_owned(), "b=[::1],c:fe80::1".to_owned()];
        let pairs: Vec<String> = hosts(&words).unwrap().into_iter().map(|(host, ip)| format!("{host} {ip}")).collect();
        assert_eq!(pairs, ["a 10.0.0.1", "b ::1", "c fe80::1"]);
        for bad in ["a", "a:x", ":1.2.3.4", "a:host-gateway"] {
            assert!(hosts(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert_eq!(ulimit("nofile=10:20").unwrap(), Ulimit { name: "nofile".to_owned(), soft: 10, hard: 20 });
        assert_eq!(ulimit("nproc=5").unwrap().hard, 5);
        assert_eq!(ulimit("core=-1").unwrap().soft, -1);
        for bad in ["nofile", "x=1", "nofile=a", "nofile=3:2", "nofile=-1:2"] {
            assert!(ulimit(bad).is_err(), "{bad}");
        }
        assert_eq!((size("64m").unwrap(), size("1.5k").unwrap(), size("7").unwrap()), (64 << 20, 1536, 7));
        assert!(size("x").is_err() && size("1q").is_err() && size("").is_err());
    }

    #[test]
    fn words_that_allow_are_known() {
        let words = ["network.host".to_owned(), "device=vendor.com/gpu".to_owned()];
        assert!(entitlements(&words).unwrap().network_host);
        assert!(entitlements(&["root".to_owned()]).is_err());
        assert!(network("bridge").unwrap_err().to_string().contains("not supported"));
    }
}
