//! In: the lines of RUN and HEALTHCHECK. Out: what they run and how. Never: the shell in front of a command (the frontend knows it).

use super::{Line, command_line};
use crate::csv;
use crate::duration;
use crate::error::ParseErrorKind;
use crate::flags::{Flags, Kind};
use crate::instruction::{CommandLine, Device, Healthcheck, Run, RunNetwork, RunSecurity};
use crate::mount::{MountSpec, go_bool};

const RUN_FLAGS: [(&str, Kind); 4] =
    [("mount", Kind::List), ("network", Kind::Text), ("security", Kind::Text), ("device", Kind::List)];

const HEALTHCHECK_FLAGS: [(&str, Kind); 5] = [
    ("interval", Kind::Text),
    ("timeout", Kind::Text),
    ("start-period", Kind::Text),
    ("start-interval", Kind::Text),
    ("retries", Kind::Text),
];

/// Nanoseconds of the shortest duration that is not 0.
const DURATION_NS_MIN: i64 = 1_000_000;

pub(super) fn parse_run(line: &Line<'_>) -> Result<Run, ParseErrorKind> {
    let flags = line.flags(&RUN_FLAGS)?;
    let network = match flags.optional("network").as_deref() {
        None | Some("default") => RunNetwork::Default,
        Some("none") => RunNetwork::None,
        Some("host") => RunNetwork::Host,
        Some(other) => return Err(ParseErrorKind::Network(other.to_owned())),
    };
    let security = match flags.optional("security").as_deref() {
        None | Some("sandbox") => RunSecurity::Sandbox,
        Some("insecure") => RunSecurity::Insecure,
        Some(other) => return Err(ParseErrorKind::Security(other.to_owned())),
    };
    let mounts: Result<Vec<_>, _> = flags.list("mount").iter().map(|text| MountSpec::parse(text)).collect();
    let devices: Result<Vec<_>, _> = flags.list("device").iter().map(|text| parse_device(text)).collect();
    let flags_used = RUN_FLAGS.iter().map(|(name, _)| *name).filter(|name| flags.optional(name).is_some()).collect();
    Ok(Run {
        line: command_line(line.parts.rest)?,
        heredocs: line.heredocs.to_vec(),
        mounts: mounts?,
        network,
        security,
        devices: devices?,
        flags_used,
    })
}

/// `name[,required]`, `name=…`, or a CDI name with `=` in it.
fn parse_device(text: &str) -> Result<Device, ParseErrorKind> {
    let bad = |why: &str| ParseErrorKind::Device(why.to_owned());
    let fields = csv::fields(text).map_err(|error| ParseErrorKind::Device(error.to_string()))?;
    let mut device = Device { name: String::new(), required: false };
    for field in &fields {
        let (key, value) = field.split_once('=').map_or((field.as_str(), None), |(key, value)| (key, Some(value)));
        match (key.to_lowercase().as_str(), value) {
            ("required", None) => device.required = true,
            ("required", Some(word)) => {
                device.required = go_bool(word).ok_or_else(|| bad(&format!("invalid value for required: {word}")))?;
            }
            ("name", Some(_)) if !device.name.is_empty() => {
                return Err(bad(&format!("device name already set to {}", device.name)));
            }
            ("name", Some(name)) => name.clone_into(&mut device.name),
            _ if device.name.is_empty() => device.name.clone_from(field),
            (key, _) => return Err(bad(&format!("unexpected key '{key}' in '{field}'"))),
        }
    }
    Ok(device)
}

pub(super) fn parse_healthcheck(line: &Line<'_>) -> Result<Healthcheck, ParseErrorKind> {
    let rest = line.parts.rest;
    let (kind, command) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let command = command.trim_start();
    match kind.to_uppercase().as_str() {
        "" => Err(ParseErrorKind::AtLeastOneArgument("HEALTHCHECK")),
        "NONE" if command.is_empty() => Ok(Healthcheck::None),
        "NONE" => Err(ParseErrorKind::HealthcheckNoneArguments),
        "CMD" => parse_test(line, command),
        other => {
            line.flags(&HEALTHCHECK_FLAGS)?;
            Err(ParseErrorKind::HealthcheckType(other.to_owned()))
        }
    }
}

fn parse_test(line: &Line<'_>, command: &str) -> Result<Healthcheck, ParseErrorKind> {
    let flags = line.flags(&HEALTHCHECK_FLAGS)?;
    let command = command_line(command)?;
    let is_empty = match &command {
        CommandLine::Shell(text) => text.is_empty(),
        CommandLine::Exec(args) => args.is_empty(),
    };
    if is_empty {
        return Err(ParseErrorKind::HealthcheckWithoutCommand);
    }
    let retries = flags.text("retries");
    let retries = match retries.as_str() {
        "" => 0,
        text => {
            let number = text.parse::<i32>().ok().filter(|number| *number >= 0);
            i64::from(number.ok_or_else(|| ParseErrorKind::Retries(text.to_owned()))?)
        }
    };
    Ok(Healthcheck::Test {
        command,
        interval_ns: interval(&flags, "interval")?,
        timeout_ns: interval(&flags, "timeout")?,
        start_period_ns: interval(&flags, "start-period")?,
        start_interval_ns: interval(&flags, "start-interval")?,
        retries,
    })
}

fn interval(flags: &Flags, flag: &'static str) -> Result<i64, ParseErrorKind> {
    let text = flags.text(flag);
    if text.is_empty() {
        return Ok(0);
    }
    let nanoseconds = duration::parse_nanoseconds(&text).map_err(|reason| ParseErrorKind::Duration { flag, reason })?;
    if nanoseconds != 0 && nanoseconds < DURATION_NS_MIN {
        return Err(ParseErrorKind::DurationTooShort(flag));
    }
    Ok(nanoseconds)
}
