//! In: flags of `run` that have no effect here. Out: a sentence for each that was given; the errors Docker has for them. Never: one passed over in silence that a program could miss.

use crate::args::run::unused::UnusedArgs;
use crate::error::CliError;

/// What is to be said of the flags.
pub fn check(args: &UnusedArgs, no_healthcheck: bool) -> Result<Vec<String>, CliError> {
    if let Some(isolation) = args.isolation.as_deref().filter(|word| !matches!(*word, "" | "default")) {
        return Err(CliError::Usage(format!("invalid isolation ({isolation}): linux only supports 'default'")));
    }
    if args.uts.as_deref().is_some_and(|word| !matches!(word, "" | "host")) {
        return Err(CliError::Usage("--uts: invalid UTS mode".to_owned()));
    }
    if let Some(bad) = args.sysctl.iter().find(|text| !text.contains('=')) {
        return Err(CliError::Usage(format!(
            "invalid argument {bad:?} for \"--sysctl\" flag: sysctl '{bad}' is not allowed"
        )));
    }
    let health = health(args);
    if no_healthcheck && !health.is_empty() {
        return Err(CliError::Usage("--no-healthcheck conflicts with --health-* options".to_owned()));
    }
    let mut said: Vec<String> =
        health.iter().map(|flag| format!("{flag} has no effect: health checks are not run")).collect();
    if let Some(name) = &args.domainname {
        said.push(format!("--domainname {name} has no effect; give the whole name with --hostname"));
    }
    said.extend(others(args).iter().map(|flag| format!("{flag} has no effect")));
    Ok(said)
}

fn health(args: &UnusedArgs) -> Vec<String> {
    let given = [
        ("--health-cmd", &args.health_cmd),
        ("--health-interval", &args.health_interval),
        ("--health-retries", &args.health_retries),
        ("--health-start-interval", &args.health_start_interval),
        ("--health-start-period", &args.health_start_period),
        ("--health-timeout", &args.health_timeout),
    ];
    given.into_iter().filter_map(|(flag, value)| Some(format!("{flag} {}", value.as_deref()?))).collect()
}

fn others(args: &UnusedArgs) -> Vec<String> {
    let one = [
        ("--uts", &args.uts),
        ("--mac-address", &args.mac_address),
        ("--blkio-weight", &args.blkio_weight),
        ("--cgroup-parent", &args.cgroup_parent),
        ("--cpu-period", &args.cpu_period),
        ("--cpu-quota", &args.cpu_quota),
        ("--cpu-rt-period", &args.cpu_rt_period),
        ("--cpu-rt-runtime", &args.cpu_rt_runtime),
        ("--cpuset-mems", &args.cpuset_mems),
        ("--ip", &args.ip),
        ("--ip6", &args.ip6),
        ("--kernel-memory", &args.kernel_memory),
        ("--memory-reservation", &args.memory_reservation),
        ("--memory-swappiness", &args.memory_swappiness),
        ("--oom-score-adj", &args.oom_score_adj),
        ("--runtime", &args.runtime),
        ("--volume-driver", &args.volume_driver),
    ];
    let many = [
        ("--sysctl", &args.sysctl),
        ("--blkio-weight-device", &args.blkio_weight_device),
        ("--device-cgroup-rule", &args.device_cgroup_rule),
        ("--device-read-bps", &args.device_read_bps),
        ("--device-read-iops", &args.device_read_iops),
        ("--device-write-bps", &args.device_write_bps),
        ("--device-write-iops", &args.device_write_iops),
        ("--dns-option", &args.dns_option),
        ("--dns-search", &args.dns_search),
        ("--link-local-ip", &args.link_local_ip),
        ("--network-alias", &args.network_alias),
        ("--storage-opt", &args.storage_opt),
    ];
    let one = one.into_iter().filter_map(|(flag, value)| Some((flag, value.as_deref()?)));
    let many = many.into_iter().flat_map(|(flag, values)| values.iter().map(move |value| (flag, value.as_str())));
    let flags = args.oom_kill_disable.then(|| "--oom-kill-disable".to_owned());
    one.chain(many).map(|(flag, value)| format!("{flag} {value}")).chain(flags).collect()
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches as _};

    use super::*;

    fn checked(words: &[&str]) -> Result<Vec<String>, String> {
        let command = UnusedArgs::augment_args(clap::Command::new("run"));
        let matches = command.no_binary_name(true).get_matches_from(words);
        let args = UnusedArgs::from_arg_matches(&matches).unwrap();
        check(&args, words.contains(&"--health-cmd") && words.contains(&"none")).map_err(|error| error.to_string())
    }

    #[test]
    fn what_has_no_effect_is_said_and_nonsense_refused() {
        assert_eq!(
            checked(&["--sysctl", "a=b", "--health-cmd", "true", "--oom-kill-disable"]).unwrap(),
            [
                "--health-cmd true has no effect: health checks are not run",
                "--sysctl a=b has no effect",
                "--oom-kill-disable has no effect"
            ]
        );
        assert!(
            checked(&["--annotation", "a=b", "--isolation", "default", "--detach-keys", "ctrl-x"]).unwrap().is_empty()
        );
        for words in [["--isolation", "process"], ["--uts", "bogus"], ["--sysctl", "bogus"], ["--health-cmd", "none"]] {
            assert!(checked(&words).is_err(), "{words:?}");
        }
    }
}
