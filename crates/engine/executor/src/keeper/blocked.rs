//! In: which call was refused, and what the host says about itself. Out: why namespaces are blocked here, and the exact fix. Never: an attempt to get around it.

use serde::{Deserialize, Serialize};

use crate::error::errno_text;

/// Namespaces that the keeper needs are blocked on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("building needs user namespaces, and they are blocked here: {reason}. {fix}")]
pub struct Blocked {
    pub reason: BlockedReason,
    /// What to do, with the command.
    pub fix: String,
}

/// What blocks them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum BlockedReason {
    #[error("user.max_user_namespaces is 0")]
    LimitZero,
    #[error("the limit user.max_user_namespaces ({limit}) is reached, or namespaces are nested too deep")]
    LimitReached { limit: u64 },
    #[error("kernel.unprivileged_userns_clone is 0")]
    UnprivilegedCloneOff,
    #[error("AppArmor restricts them (kernel.apparmor_restrict_unprivileged_userns is 1)")]
    AppArmor,
    #[error("the container this runs in forbids them")]
    Container,
    #[error("this runs in a chroot, where the kernel forbids them")]
    Chroot,
    #[error("this kernel has none (CONFIG_USER_NS)")]
    NoKernelSupport,
    #[error("/proc is partly covered, so that the kernel refuses a new one")]
    MaskedProc,
    #[error("{call}: {}", errno_text(*.errno))]
    Unknown { call: String, errno: i32 },
}

/// The call that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusedCall {
    /// `unshare` of the user namespace.
    UnshareUser,
    /// Writing the id maps.
    IdMap,
    /// The first mount inside.
    Mount,
    /// A new /proc.
    MountProc,
}

impl RefusedCall {
    const fn name(self) -> &'static str {
        match self {
            Self::UnshareUser => "unshare of a user namespace",
            Self::IdMap => "writing the id map of a user namespace",
            Self::Mount => "mount in a user namespace",
            Self::MountProc => "mount of /proc in a user namespace",
        }
    }
}

/// What the host says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostFacts {
    /// user.max_user_namespaces
    pub(crate) max_user_namespaces: Option<u64>,
    /// kernel.unprivileged_userns_clone (Debian's and Arch's kernels)
    pub(crate) unprivileged_userns_clone: Option<u64>,
    /// kernel.apparmor_restrict_unprivileged_userns (Ubuntu's kernels)
    pub(crate) apparmor_restrict: Option<u64>,
    /// A seccomp filter is on this process, or a container engine left its mark.
    pub(crate) in_container: bool,
    /// The root directory is not the mount namespace's root.
    pub(crate) in_chroot: bool,
    /// Something is mounted beneath /proc that hides parts of it.
    pub(crate) proc_masked: bool,
    /// The program's path, for the AppArmor profile.
    pub(crate) program: String,
}

impl HostFacts {
    /// Asks the host. Call before the namespaces change.
    pub(crate) fn probe() -> Self {
        let number = |path: &str| fs_err::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
        let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
        let mounts = fs_err::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let filtered = status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"]));
        let marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|path| std::path::Path::new(path).exists());
        Self {
            max_user_namespaces: number("/proc/sys/user/max_user_namespaces"),
            unprivileged_userns_clone: number("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restrict: number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            in_container: filtered || marked,
            in_chroot: !mounts.is_empty() && !mounts.lines().any(|line| line.split(' ').nth(4) == Some("/")),
            proc_masked: proc_is_masked(&mounts),
            program: std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }
}

/// Whether something other than binfmt_misc (which the kernel forgives) is mounted beneath /proc.
fn proc_is_masked(mountinfo: &str) -> bool {
    mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|place| place.starts_with("/proc/") && place != "/proc/sys/fs/binfmt_misc")
}

/// Names the cause of a refusal.
pub(crate) fn diagnose(call: RefusedCall, errno: i32, facts: &HostFacts) -> Blocked {
    let reason = match (call, errno) {
        (_, libc::ENOSPC | libc::EUSERS) => match facts.max_user_namespaces {
            Some(0) => BlockedReason::LimitZero,
            limit => BlockedReason::LimitReached { limit: limit.unwrap_or_default() },
        },
        (RefusedCall::UnshareUser, libc::EINVAL | libc::ENOSYS) => BlockedReason::NoKernelSupport,
        (RefusedCall::MountProc, libc::EPERM) if facts.proc_masked => BlockedReason::MaskedProc,
        _ if facts.unprivileged_userns_clone == Some(0) => BlockedReason::UnprivilegedCloneOff,
        _ if facts.apparmor_restrict.is_some_and(|value| value != 0) => BlockedReason::AppArmor,
        (RefusedCall::UnshareUser, libc::EPERM) if facts.in_chroot => BlockedReason::Chroot,
        _ if facts.in_container => BlockedReason::Container,
        _ => BlockedReason::Unknown { call: call.name().to_owned(), errno },
    };
    Blocked { fix: fix(&reason, facts), reason }
}

fn fix(reason: &BlockedReason, facts: &HostFacts) -> String {
    let program = &facts.program;
    match reason {
        BlockedReason::LimitZero | BlockedReason::LimitReached { .. } => {
            "Raise the limit: sudo sysctl -w user.max_user_namespaces=28633".to_owned()
        }
        BlockedReason::UnprivilegedCloneOff => {
            "Allow them: sudo sysctl -w kernel.unprivileged_userns_clone=1".to_owned()
        }
        BlockedReason::AppArmor => format!(
            "Allow them for this program: printf 'abi <abi/4.0>,\\nprofile crossdock {program} flags=(unconfined) {{\\n  userns,\\n}}\\n' | \
             sudo tee /etc/apparmor.d/crossdock && sudo apparmor_parser -r /etc/apparmor.d/crossdock; \
             or for all: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        ),
        BlockedReason::Container => {
            "Start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
             --security-opt systempaths=unconfined, or with --privileged"
                .to_owned()
        }
        BlockedReason::MaskedProc => {
            "Start the container with --security-opt systempaths=unconfined (podman: --security-opt unmask=ALL), \
             or with --privileged"
                .to_owned()
        }
        BlockedReason::Chroot => "Run outside the chroot, or as root in it".to_owned(),
        BlockedReason::NoKernelSupport => "Run as root, or with a kernel that has CONFIG_USER_NS".to_owned(),
        BlockedReason::Unknown { .. } => {
            "Run as root, or ask the administrator to allow user namespaces for this user".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_named_with_its_fix() {
        let facts = |change: fn(&mut HostFacts)| {
            let mut facts = HostFacts {
                program: "/usr/bin/crossdock".to_owned(),
                max_user_namespaces: Some(10),
                ..HostFacts::default()
            };
            change(&mut facts);
            facts
        };
        let rows: [(RefusedCall, i32, HostFacts, &str); 8] = [
            (
                RefusedCall::UnshareUser,
                libc::ENOSPC,
                facts(|it| it.max_user_namespaces = Some(0)),
                "user.max_user_namespaces=28633",
            ),
            (RefusedCall::UnshareUser, libc::ENOSPC, facts(|_| ()), "(10) is reached"),
            (
                RefusedCall::UnshareUser,
                libc::EPERM,
                facts(|it| it.unprivileged_userns_clone = Some(0)),
                "unprivileged_userns_clone=1",
            ),
            (
                RefusedCall::Mount,
                libc::EACCES,
                facts(|it| it.apparmor_restrict = Some(1)),
                "profile crossdock /usr/bin/crossdock",
            ),
            (RefusedCall::UnshareUser, libc::EPERM, facts(|it| it.in_container = true), "seccomp=unconfined"),
            (RefusedCall::UnshareUser, libc::EPERM, facts(|it| it.in_chroot = true), "outside the chroot"),
            (RefusedCall::MountProc, libc::EPERM, facts(|it| it.proc_masked = true), "systempaths=unconfined"),
            (RefusedCall::UnshareUser, libc::EINVAL, facts(|_| ()), "CONFIG_USER_NS"),
        ];
        for (call, errno, facts, wanted) in rows {
            let text = diagnose(call, errno, &facts).to_string();
            assert!(text.contains(wanted), "{text}");
        }
    }

    #[test]
    fn covers_beneath_proc_are_seen() {
        let line = |place: &str| format!("36 35 98:0 / {place} rw - tmpfs tmpfs rw");
        assert!(proc_is_masked(&line("/proc/kcore")));
        assert!(!proc_is_masked(&line("/proc/sys/fs/binfmt_misc")));
        assert!(!proc_is_masked(&line("/proc")));
    }
}
