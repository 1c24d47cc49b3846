//! In: a step. Out: the mounts of its sandbox, in order, as plain values. Never: a mount.
//!
//! Mounts and paths are those runc makes for BuildKit (spec/engine.md §3): what a step sees of the machine must not depend on who builds.

use crossdock_llb::Security;
use rustix::mount::MountFlags;

use super::spec::{ExecSpec, MountSource};

/// Paths a step must not read: files show the null device, directories are empty.
pub(super) const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Paths a step must not write.
pub(super) const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) const NO_SUID_DEV_EXEC: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// A mount of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) dest: String,
    pub(super) what: What,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// A fresh kernel file system: type, flags, options; and the options to try when the kernel refuses those.
    Fresh { kind: &'static str, flags: MountFlags, options: String, otherwise: Option<String> },
    /// A tmpfs as a user described it.
    Memory { flags: MountFlags, options: String },
    /// A fresh sysfs, or the host's where a user namespace may not have one.
    Sys { readonly: bool },
    /// /dev with its nodes and links.
    Dev,
    /// A file of the sandbox's own making, by its name among them.
    OwnFile { name: String, readonly: bool },
    /// The user's mount, by its index.
    User { index: usize, readonly: bool },
}

/// The mounts of a step. Outer ones come first, so that an inner one is never hidden; among equals the step's own order counts.
pub(super) fn plan(spec: &ExecSpec) -> Vec<Planned> {
    let fresh = |dest: &str, kind, flags, options: &str, otherwise: Option<&str>| Planned {
        dest: dest.to_owned(),
        what: What::Fresh { kind, flags, options: options.to_owned(), otherwise: otherwise.map(str::to_owned) },
    };
    let own_file = |dest: &str, name: &str| Planned {
        dest: dest.to_owned(),
        what: What::OwnFile { name: name.to_owned(), readonly: true },
    };
    let shm = format!("mode=1777,size={}", spec.shm_size_bytes);
    let no_suid_exec = MountFlags::NOSUID | MountFlags::NOEXEC;
    let readonly = spec.security == Security::Sandbox;
    let mut mounts = vec![
        fresh("/proc", "proc", NO_SUID_DEV_EXEC, "", None),
        Planned { dest: "/dev".to_owned(), what: What::Dev },
        // Group 5 is tty; it does not exist in a namespace with one id.
        fresh(
            "/dev/pts",
            "devpts",
            no_suid_exec,
            "newinstance,ptmxmode=0666,mode=0620,gid=5",
            Some("newinstance,ptmxmode=0666,mode=0620"),
        ),
        fresh("/dev/shm", "tmpfs", NO_SUID_DEV_EXEC, &shm, None),
        fresh("/dev/mqueue", "mqueue", NO_SUID_DEV_EXEC, "", None),
        Planned { dest: "/sys".to_owned(), what: What::Sys { readonly } },
        own_file("/etc/resolv.conf", RESOLV_CONF),
        own_file("/etc/hosts", HOSTS),
    ];
    for (index, mount) in spec.mounts.iter().enumerate() {
        let what = match &mount.source {
            MountSource::Tmpfs(memory) => {
                let mut flags = NO_SUID_DEV_EXEC;
                flags.set(MountFlags::RDONLY, mount.readonly);
                flags.set(MountFlags::NOSUID, !memory.suid);
                // Nothing opens a device inside a sandbox, see `devices.rs`.
                flags.set(MountFlags::NODEV, !memory.dev || spec.security == Security::Sandbox);
                flags.set(MountFlags::NOEXEC, !memory.exec);
                What::Memory { flags, options: memory.options.clone() }
            }
            MountSource::File { .. } => What::OwnFile { name: file_name(index), readonly: mount.readonly },
            MountSource::Host(_) | MountSource::Tree { .. } => What::User { index, readonly: mount.readonly },
        };
        mounts.push(Planned { dest: mount.dest.clone(), what });
    }
    mounts.sort_by_key(|mount| mount.dest.split('/').filter(|word| !word.is_empty() && *word != ".").count());
    mounts
}

/// Names of the files the sandbox makes for itself.
pub(super) const RESOLV_CONF: &str = "resolv.conf";
pub(super) const HOSTS: &str = "hosts";

/// The file that holds a mount's bytes.
pub(super) fn file_name(index: usize) -> String {
    format!("file-{index}")
}

#[cfg(test)]
mod tests {
    use super::super::spec::{Memory, RootSpec, SandboxMount};
    use super::*;
    use crate::host_path::HostPath;

    fn spec(mounts: Vec<SandboxMount>) -> ExecSpec {
        let mut spec = ExecSpec::new(RootSpec::Directory(HostPath::from("/r")), vec!["true".to_owned()]);
        spec.mounts = mounts;
        spec
    }

    #[test]
    fn outer_mounts_come_before_inner_ones() {
        let mount = |dest: &str| SandboxMount {
            dest: dest.to_owned(),
            readonly: false,
            source: MountSource::Tmpfs(Memory::default()),
        };
        let plan = plan(&spec(vec![mount("/a/b/c"), mount("/etc"), mount("//a/./")]));
        let dests: Vec<&str> = plan.iter().map(|mount| mount.dest.as_str()).collect();
        let wanted = [
            "/proc",
            "/dev",
            "/sys",
            "/etc",
            "//a/./",
            "/dev/pts",
            "/dev/shm",
            "/dev/mqueue",
            "/etc/resolv.conf",
            "/etc/hosts",
            "/a/b/c",
        ];
        assert_eq!(dests, wanted);
    }

    #[test]
    fn insecure_steps_may_write_to_sys() {
        let mut spec = spec(Vec::new());
        let writable = |spec: &ExecSpec| plan(spec).iter().any(|mount| mount.what == What::Sys { readonly: false });
        assert!(!writable(&spec));
        spec.security = Security::Insecure;
        assert!(writable(&spec));
    }

    #[test]
    fn a_users_tmpfs_forbids_what_he_does_not_allow() {
        let memory = |exec, dev| SandboxMount {
            dest: "/t".to_owned(),
            readonly: false,
            source: MountSource::Tmpfs(Memory { options: "mode=700".to_owned(), suid: false, dev, exec }),
        };
        let flags = |spec: &ExecSpec| {
            plan(spec).into_iter().find_map(|mount| match mount.what {
                What::Memory { flags, options } if options == "mode=700" => Some(flags),
                _ => None,
            })
        };
        assert_eq!(flags(&spec(vec![memory(false, false)])), Some(NO_SUID_DEV_EXEC));
        let mut allowed = spec(vec![memory(true, true)]);
        assert_eq!(flags(&allowed), Some(MountFlags::NOSUID | MountFlags::NODEV));
        allowed.security = Security::Insecure;
        assert_eq!(flags(&allowed), Some(MountFlags::NOSUID));
    }

    #[test]
    fn the_size_of_dev_shm_reaches_its_options() {
        let mut spec = spec(Vec::new());
        spec.shm_size_bytes = 123;
        let wanted = "mode=1777,size=123";
        assert!(
            plan(&spec).iter().any(|mount| matches!(&mount.what, What::Fresh { options, .. } if options == wanted))
        );
    }
}
