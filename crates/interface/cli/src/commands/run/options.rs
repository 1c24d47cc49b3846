//! In: the flags of `run` and `create`. Out: what the container is to be, and what of it cannot be had here. Never: a flag passed over in silence.

use std::collections::BTreeMap;

use crossdock_build::RunRequest;
use crossdock_executor::sandbox::{SHM_SIZE_BYTES_DEFAULT, SandboxMount, TerminalSize};
use crossdock_llb::op::Ulimit;
use crossdock_llb::{Network, Security};
use crossdock_oci::Platform;

use super::mounts::Shown;
use super::{attach, env, mounts, unused};
use crate::args::run::RunArgs;
use crate::error::CliError;

/// Signals by name, as `kill -l` has them.
const SIGNALS: [(&str, i32); 20] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("WINCH", 28),
];

/// What the flags say.
#[derive(Debug)]
pub struct Options {
    pub request: RunRequest,
    pub labels: BTreeMap<String, String>,
    pub stop_signal: Option<i32>,
    /// Said to the user before the container starts.
    pub warnings: Vec<String>,
}

/// Reads the flags; `is_root`: whether the user is root of the host.
pub fn read(args: &RunArgs, proxies: &[(String, String)], is_root: bool) -> Result<Options, CliError> {
    let mut warnings = refused(args)?;
    let default = std::env::var("DOCKER_DEFAULT_PLATFORM").ok().filter(|text| !text.is_empty());
    let platform = args
        .platform
        .clone()
        .filter(|text| !text.is_empty())
        .or(default)
        .map(|text| text.parse::<Platform>())
        .transpose()?;
    let network = network(&args.network, &mut warnings)?;
    if !args.publish.is_empty() {
        for port in &args.publish {
            check_port(port)?;
        }
        if network == Network::Host {
            warnings.push(format!(
                "-p {}: the container is in the host's network; its ports are the host's ports, under the container's numbers",
                args.publish.join(" -p ")
            ));
        }
    }
    if args.privileged && !is_root {
        warnings.push(
            "--privileged: you are not root, so the container has every right over what is its own and none over the host: no devices, no kernel modules, no emulators registered for others"
                .to_owned(),
        );
    }
    let (shown, volumes) = shown(args)?;
    if let Some(cwd) = args.workdir.as_deref().filter(|cwd| !cwd.is_empty() && !cwd.starts_with('/')) {
        return Err(CliError::Usage(format!(
            "the working directory '{cwd}' is invalid, it needs to be an absolute path"
        )));
    }
    let usage =
        |text: &str, flag: &str, why: &str| CliError::Usage(format!("invalid argument {text:?} for {flag}: {why}"));
    let shm = args.shm_size.as_deref().map(|text| bytes(text).ok_or_else(|| usage(text, "--shm-size", "no size")));
    let request = RunRequest {
        platform,
        entrypoint: args.entrypoint.clone(),
        args: args.command().to_vec(),
        env: env::variables(&args.env_file, proxies, &args.env)?,
        cwd: args.workdir.clone(),
        user: args.user.clone(),
        hostname: args.hostname.clone().unwrap_or_default(),
        extra_hosts: args.add_host.iter().map(|text| extra_host(text)).collect::<Result<_, _>>()?,
        network,
        security: if args.privileged { Security::Insecure } else { Security::Sandbox },
        mounts: shown,
        volumes,
        terminal: args.tty.then_some(TerminalSize { rows: 24, columns: 80 }),
        readonly: args.read_only,
        ulimits: args.ulimit.iter().map(|text| ulimit(text)).collect::<Result<_, _>>()?,
        shm_size_bytes: shm.transpose()?.unwrap_or(SHM_SIZE_BYTES_DEFAULT),
    };
    let label = |text: &String| match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (text.clone(), String::new()),
    };
    let labels = env::labels(&args.label_file)?;
    let stop_signal = args.stop_signal.as_deref().map(signal).transpose()?;
    Ok(Options { request, labels: labels.iter().chain(&args.label).map(label).collect(), stop_signal, warnings })
}

/// What is mounted, and the volumes without a name.
fn shown(args: &RunArgs) -> Result<(Vec<SandboxMount>, Vec<String>), CliError> {
    let (mut all, mut own) = (Vec::new(), Vec::new());
    let volumes = args.volumes.iter().map(|text| mounts::volume(text));
    for shown in volumes.chain(args.mounts.iter().map(|text| mounts::mount(text))) {
        match shown? {
            Shown::Mount(mount) => all.push(mount),
            Shown::Own(dest) => own.push(dest),
        }
    }
    for text in &args.tmpfs {
        all.push(mounts::tmpfs(text)?);
    }
    for text in &args.device {
        all.push(mounts::device(text)?);
    }
    Ok((all, own))
}

/// Flags that have no effect here, one sentence each; those a container cannot do without are an error.
fn refused(args: &RunArgs) -> Result<Vec<String>, CliError> {
    if let Some(gpus) = &args.gpus {
        return Err(CliError::Usage(format!(
            "could not select device driver \"\" with capabilities: [[gpu]]: --gpus {gpus} is not supported; show the devices with --device"
        )));
    }
    if !args.volumes_from.is_empty() {
        return Err(CliError::Usage("--volumes-from is not supported; show the directories with -v".to_owned()));
    }
    if !matches!(args.pull.as_str(), "always" | "missing" | "never") {
        return Err(CliError::Usage(format!(
            "invalid pull option: {:?}: must be one of \"always\", \"missing\" or \"never\"",
            args.pull
        )));
    }
    check_restart(args)?;
    attach::streams(&args.attach)?;
    let mut warnings = unused::check(&args.unused, args.no_healthcheck)?;
    for option in &args.security_opt {
        match option.split(['=', ':']).next().unwrap_or_default() {
            // Nothing of the kind is in force that could be turned off.
            "apparmor" | "label" | "systempaths" | "writable-cgroups" => {}
            _ if args.privileged => {}
            _ => warnings.push(format!("--security-opt {option} has no effect; --privileged lifts every restriction")),
        }
    }
    let given = |flag: &'static str, value: Option<&String>| value.map(|value| format!("{flag} {value}"));
    if !args.privileged {
        warnings.extend(args.cap_add.iter().map(|cap| {
            format!(
                "--cap-add {cap} has no effect: a container has Docker's fourteen capabilities, with --privileged all"
            )
        }));
    }
    warnings.extend(args.cap_drop.iter().map(|cap| format!("--cap-drop {cap} has no effect")));
    let limits = [
        given("--memory", args.memory.as_ref()),
        given("--memory-swap", args.memory_swap.as_ref()),
        given("--cpus", args.cpus.as_ref()),
        given("--cpu-shares", args.cpu_shares.as_ref()),
        given("--cpuset-cpus", args.cpuset_cpus.as_ref()),
        given("--pids-limit", args.pids_limit.as_ref()),
        given("--ipc", args.ipc.as_ref()),
        given("--pid", args.pid.as_ref()),
        given("--userns", args.userns.as_ref()),
        given("--restart", args.restart.as_ref().filter(|value| *value != "no")),
        given("--log-driver", args.log_driver.as_ref().filter(|value| *value != "json-file")),
        given("--dns", args.dns.first()),
        given("--group-add", args.group_add.first()),
        given("--link", args.link.first()),
    ];
    warnings.extend(limits.into_iter().flatten().map(|flag| format!("{flag} has no effect")));
    Ok(warnings)
}

fn check_restart(args: &RunArgs) -> Result<(), CliError> {
    let policy = args.restart.as_deref().unwrap_or_default();
    match policy.split(':').next().unwrap_or_default() {
        "" | "no" => Ok(()),
        _ if args.rm => Err(CliError::Usage("conflicting options: cannot specify both --restart and --rm".to_owned())),
        "always" | "unless-stopped" | "on-failure" => Ok(()),
        other => Err(CliError::Usage(format!(
            "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ))),
    }
}

fn network(text: &str, warnings: &mut Vec<String>) -> Result<Network, CliError> {
    match text {
        "host" | "default" => Ok(Network::Host),
        "bridge" => {
            warnings.push("--network bridge: the container is in the host's network instead".to_owned());
            Ok(Network::Host)
        }
        "none" => Ok(Network::None),
        other => {
            Err(CliError::Usage(format!("network {other} not found: host, bridge (as host) and none are supported")))
        }
    }
}

/// `[[IP:]HOST:]CONTAINER[/PROTOCOL]`, each port a number or a range.
fn check_port(text: &str) -> Result<(), CliError> {
    let bad = |what: &str, part: &str| {
        CliError::Usage(format!("invalid argument {text:?} for \"-p, --publish\": invalid {what}: {part}"))
    };
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    if !matches!(protocol.to_ascii_lowercase().as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad("proto", protocol));
    }
    let is_port = |part: &str| {
        let one = |part: &str| part.parse::<u16>().is_ok_and(|port| port > 0);
        part.split_once('-').map_or_else(|| one(part), |(from, to)| one(from) && one(to))
    };
    let (before, container) = ports.rsplit_once(':').unwrap_or(("", ports));
    if !is_port(container) {
        return Err(bad("containerPort", container));
    }
    let (address, host) = before.rsplit_once(':').unwrap_or(("", before));
    if !host.is_empty() && !is_port(host) {
        return Err(bad("hostPort", host));
    }
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(bad("IP address", address));
    }
    Ok(())
}

fn extra_host(text: &str) -> Result<(String, String), CliError> {
    let bad = || CliError::Usage(format!("invalid argument {text:?} for --add-host: write NAME:ADDRESS"));
    let (name, address) = text.split_once([':', '=']).ok_or_else(bad)?;
    let address = address.trim_start_matches('[').trim_end_matches(']');
    // The container is in the host's network.
    let address = if address == "host-gateway" { "127.0.0.1" } else { address };
    if name.is_empty() || address.parse::<std::net::IpAddr>().is_err() {
        return Err(bad());
    }
    Ok((name.to_owned(), address.to_owned()))
}

fn ulimit(text: &str) -> Result<Ulimit, CliError> {
    let bad = || CliError::Usage(format!("invalid argument {text:?} for --ulimit: write NAME=SOFT[:HARD]"));
    let (name, limits) = text.split_once('=').ok_or_else(bad)?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().map_err(|_| bad());
    Ok(Ulimit { name: name.to_ascii_lowercase(), soft: number(soft)?, hard: number(hard)? })
}

/// `64m`, `1g`, `512` as bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix("ib").or_else(|| text.strip_suffix('b')).unwrap_or(&text);
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let shift = match &text[at..] {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    text[..at].parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// `SIGTERM`, `term` or `15` as a number.
pub fn signal(text: &str) -> Result<i32, CliError> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    by_name
        .or_else(|| name.parse().ok().filter(|number| (1..=64).contains(number)))
        .ok_or_else(|| CliError::Usage(format!("invalid signal: {text}")))
}

/// `SIGTERM` for 15; the number itself where it has no name here.
pub fn signal_name(number: i32) -> String {
    let name = SIGNALS.iter().find(|(_, known)| *known == number).map(|(name, _)| format!("SIG{name}"));
    name.unwrap_or_else(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports() {
        for good in
            ["80", "8080:80", "127.0.0.1:8080:80", "127.0.0.1::80", "80/udp", "8000-8010:8000-8010", "[::1]:80:80/tcp"]
        {
            assert!(check_port(good).is_ok(), "{good}");
        }
        for bad in ["", "x", "8080:x", "x:80", "80/icmp", "0", "70000", "1.2.3:1:2"] {
            assert!(check_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_signals_hosts_and_limits() {
        assert_eq!(
            [bytes("64m"), bytes("1GiB"), bytes("7"), bytes("x")],
            [Some(64 << 20), Some(1 << 30), Some(7), None]
        );
        assert_eq!(signal("SIGTERM").unwrap(), 15);
        assert_eq!(signal("9").unwrap(), 9);
        assert!(signal("SIGNOTHING").is_err() && signal("99").is_err());
        assert_eq!(extra_host("a:1.2.3.4").unwrap(), ("a".to_owned(), "1.2.3.4".to_owned()));
        assert_eq!(extra_host("a=::1").unwrap().1, "::1");
        assert!(extra_host("a:b").is_err());
        let limit = ulimit("nofile=1:2").unwrap();
        assert_eq!((limit.name.as_str(), limit.soft, limit.hard), ("nofile", 1, 2));
    }
}
