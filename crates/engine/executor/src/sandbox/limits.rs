//! In: ulimits by name. Out: the process's resource limits. Never: a limit that was not asked for.

use crossdock_llb::op::Ulimit;
use rustix::process::{Resource, Rlimit};

use crate::error::ExecutorError;

/// `setrlimit` names without `RLIMIT_`, in lower case, as Docker's `--ulimit` takes them.
const NAMES: [(&str, Resource); 16] = [
    ("as", Resource::As),
    ("core", Resource::Core),
    ("cpu", Resource::Cpu),
    ("data", Resource::Data),
    ("fsize", Resource::Fsize),
    ("locks", Resource::Locks),
    ("memlock", Resource::Memlock),
    ("msgqueue", Resource::Msgqueue),
    ("nice", Resource::Nice),
    ("nofile", Resource::Nofile),
    ("nproc", Resource::Nproc),
    ("rss", Resource::Rss),
    ("rtprio", Resource::Rtprio),
    ("rttime", Resource::Rttime),
    ("sigpending", Resource::Sigpending),
    ("stack", Resource::Stack),
];

/// Sets the limits of this process.
///
/// # Errors
/// `BadStep` for unknown names and for limits above what this user may have.
pub(super) fn set(limits: &[Ulimit]) -> Result<(), ExecutorError> {
    for limit in limits {
        let resource = NAMES.iter().find(|(name, _)| *name == limit.name).map(|(_, resource)| *resource);
        let resource =
            resource.ok_or_else(|| ExecutorError::BadStep { what: format!("unknown ulimit {}", limit.name) })?;
        // -1 means without limit.
        let value = |number: i64| u64::try_from(number).ok();
        rustix::process::setrlimit(resource, Rlimit { current: value(limit.soft), maximum: value(limit.hard) })
            .map_err(|error| {
                let why = crate::error::errno_text(error.raw_os_error());
                ExecutorError::BadStep {
                    what: format!(
                        "ulimit {}={}:{} cannot be set: {why}; the hard limit of this user may be lower",
                        limit.name, limit.soft, limit.hard
                    ),
                }
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_and_unknown_names_refused() {
        let now = rustix::process::getrlimit(Resource::Core);
        let hard = now.maximum.map_or(-1, |value| i64::try_from(value).unwrap_or(-1));
        set(&[Ulimit { name: "core".to_owned(), soft: 0, hard }]).unwrap();
        assert_eq!(rustix::process::getrlimit(Resource::Core).current, Some(0));
        assert!(set(&[Ulimit { name: "tomato".to_owned(), soft: 0, hard: 0 }]).is_err());
    }
}
