//! In: the plan for ids. Out: this process in namespaces of its own. Never: a mount that the host sees.

use std::io;

use crossdock_snapshot::snapshotter::in_user_namespace;
use rustix::mount::MountPropagationFlags;
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::UnshareFlags;

use super::blocked::{HostFacts, RefusedCall, diagnose};
use super::launch::{Hello, IdPlan, Mapped};
use super::serve::has_user_namespace;
use super::sub_ids;
use super::worker::Context;
use crate::error::ExecutorError;
use crate::kernel::process;

/// The directory in the state directory that private mounts cover. It stays empty.
const PLACE: &str = "keeper";

/// Leaves the host's namespaces. `wait_for_map` tells the program to map our ids and hears whether it could.
pub(super) fn enter(hello: &Hello, wait_for_map: impl FnOnce() -> Option<Mapped>) -> Result<Context, ExecutorError> {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let facts = || HostFacts { program: hello.program.clone(), ..HostFacts::probe() };
    let place = hello.state_root.as_path().join(PLACE);
    match fs_err::create_dir(&place) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(ExecutorError::io("make directory", place.display(), &error)),
    }
    let own = UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    let errno = |error: &io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    if has_user_namespace(hello.ids) {
        process::unshare(own | UnshareFlags::NEWUSER)
            .map_err(|error| diagnose(RefusedCall::UnshareUser, errno(&error), &facts()))?;
        let mapped = match hello.ids {
            IdPlan::SameIds | IdPlan::MappedByProgram => {
                wait_for_map().ok_or_else(|| ExecutorError::Protocol { what: "no word about the ids".to_owned() })?
            }
            IdPlan::OneId | IdPlan::HostRoot => Mapped::UseOneId,
        };
        if matches!(mapped, Mapped::UseOneId) {
            map_one_id(uid.as_raw(), gid.as_raw())
                .map_err(|error| diagnose(RefusedCall::IdMap, errno(&error), &facts()))?;
        }
        become_root(&mapped).map_err(|error| diagnose(RefusedCall::IdMap, errno(&error), &facts()))?;
    } else {
        process::unshare(own).map_err(|error| ExecutorError::StartKeeper {
            action: "leave the host's mount namespace".to_owned(),
            errno: errno(&error),
        })?;
    }
    die_with_parent();
    // What the host unmounts goes here too; what is mounted here stays here.
    let shielded = rustix::mount::mount_change("/", MountPropagationFlags::REC | MountPropagationFlags::DOWNSTREAM);
    shielded.map_err(|error| diagnose(RefusedCall::Mount, error.raw_os_error(), &facts()))?;
    let map = fs_err::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let one_id = sub_ids::highest(&sub_ids::inside_ranges(&map)) == 1;
    Ok(Context { place, userxattr: has_user_namespace(hello.ids) || in_user_namespace(), one_id })
}

/// Asks the kernel to end this process with its parent. Credential changes undo this.
pub(crate) fn die_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
}

/// Maps our own id to 0, which every user may do for himself.
fn map_one_id(uid: u32, gid: u32) -> io::Result<()> {
    match fs_err::write("/proc/self/setgroups", "deny") {
        Ok(()) => {}
        // Kernels before 3.19 have no such file and need none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs_err::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs_err::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

fn become_root(mapped: &Mapped) -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    if matches!(mapped, Mapped::Done) {
        rustix::thread::set_thread_groups(&[])?;
    }
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
    // Otherwise the files of our children in /proc belong to an id that does not exist here, and their ids cannot be mapped.
    rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    Ok(())
}
