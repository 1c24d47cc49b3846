//! In: request sockets from the control socket. Out: a worker forked for each, killed when its request is dropped. Never: work of its own; it must always be ready to hear.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions};

use super::channel;
use super::launch::{CONTROL_BYTES_MAX, Hello, IdPlan, KEEPER_NAME, KIND_KILLABLE, Mapped, Ready};
use super::namespace;
use super::worker::{self, Context};
use crate::error::ExecutorError;
use crate::kernel::process::{self, Fork};

/// Must be the first call in `main`: when this process was executed as a keeper, it serves and does not return.
pub fn run_if_keeper() {
    if std::env::args_os().next().is_some_and(|name| name == KEEPER_NAME) {
        process::exit_now(keep());
    }
}

/// A forked worker and the request it serves.
struct Worker {
    pid: Pid,
    ended: OwnedFd,
    request: UnixStream,
    /// Kill it when its request closes. Steps end by themselves, so that their stub files go.
    killable: bool,
}

/// The keeper's life before it has namespaces: enters them, then waits for the process that serves inside.
fn keep() -> i32 {
    let Ok(control) = begin() else { return 2 };
    let Some(hello) = hear::<Hello>(&control) else { return 2 };
    let entered = namespace::enter(&hello, || match tell(&control, &Ready::Unshared) {
        Some(()) => hear::<Mapped>(&control),
        None => None,
    });
    let entered = entered.and_then(|context| match process::fork() {
        Ok(fork) => Ok((context, fork)),
        Err(error) => Err(ExecutorError::io("fork", "the keeper", &error)),
    });
    match entered {
        Ok((context, Fork::Child)) => serve(control, &context),
        Ok((_, Fork::Parent(child))) => {
            drop(control);
            process::wait_for(child).map_or(2, |_| 0)
        }
        Err(error) => {
            let _ = tell(&control, &Ready::Failed(error));
            1
        }
    }
}

/// Takes the control socket off the standard input, and leaves the terminal's process group: Ctrl-C is for the program.
fn begin() -> std::io::Result<OwnedFd> {
    process::assert_single_threaded()?;
    let _ = rustix::process::setsid();
    namespace::die_with_parent();
    let control = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = fs_err::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.file())?;
    Ok(control)
}

fn serve(control: OwnedFd, context: &Context) -> i32 {
    namespace::die_with_parent();
    if tell(&control, &Ready::Serving).is_none() {
        return 2;
    }
    let mut workers: Vec<Worker> = Vec::new();
    loop {
        reap(&mut workers);
        let Ok(heard) = listen(&control, &mut workers) else { return 2 };
        if !heard {
            continue;
        }
        let mut kind = [0];
        let request = match channel::receive_bytes(control.as_fd(), &mut kind) {
            Ok((1, mut descriptors)) if descriptors.len() == 1 => descriptors.remove(0),
            // The program is gone, and with this process everything it started.
            _ => return 0,
        };
        let request = UnixStream::from(request);
        match process::fork() {
            Ok(Fork::Child) => {
                // Another request's socket held open here would hide its end from the program.
                drop((control, workers));
                let done = std::panic::catch_unwind(|| worker::run(&request, context));
                process::exit_now(if done.is_ok() { 0 } else { 101 });
            }
            Ok(Fork::Parent(pid)) => {
                if let Ok(ended) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
                    workers.push(Worker { pid, ended, request, killable: kind[0] == KIND_KILLABLE });
                }
            }
            Err(error) => {
                let error = ExecutorError::io("fork", "a worker", &error);
                let _ = channel::send(&request, &super::request::Reply::Failed(error), &[]);
            }
        }
    }
}

/// Waits for a request, the end of a worker or the end of a request's interest. True: the control socket has something to say.
fn listen(control: &OwnedFd, workers: &mut [Worker]) -> rustix::io::Result<bool> {
    // A request that nobody may cut short is not watched: closed, it would wake this process for as long as its worker lives.
    let killable: Vec<usize> = (0..workers.len()).filter(|at| workers[*at].killable).collect();
    let mut watched = vec![PollFd::new(control, PollFlags::IN)];
    watched.extend(killable.iter().map(|at| PollFd::from_borrowed_fd(workers[*at].request.as_fd(), PollFlags::RDHUP)));
    watched.extend(workers.iter().map(|worker| PollFd::new(&worker.ended, PollFlags::IN)));
    rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
    let events: Vec<PollFlags> = watched.iter().map(PollFd::revents).collect();
    let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    for (at, _) in killable.iter().zip(&events[1..]).filter(|(_, event)| event.intersects(gone)) {
        workers[*at].killable = false;
        let _ = rustix::process::kill_process(workers[*at].pid, Signal::KILL);
    }
    Ok(!events[0].is_empty())
}

/// Collects the ended: workers, and what they left to this process, which is the namespace's first.
fn reap(workers: &mut Vec<Worker>) {
    while let Ok(Some((pid, _))) = rustix::process::wait(WaitOptions::NOHANG) {
        workers.retain(|worker| worker.pid != pid);
    }
}

fn tell(control: &OwnedFd, word: &Ready) -> Option<()> {
    channel::send_bytes(control.as_fd(), &serde_json::to_vec(word).ok()?, &[]).ok()
}

fn hear<T: serde::de::DeserializeOwned>(control: &OwnedFd) -> Option<T> {
    let mut buffer = vec![0; CONTROL_BYTES_MAX];
    let (count, _) = channel::receive_bytes(control.as_fd(), &mut buffer).ok()?;
    serde_json::from_slice(&buffer[..count]).ok()
}

/// Whether the plan enters a user namespace.
pub(super) const fn has_user_namespace(plan: IdPlan) -> bool {
    !matches!(plan, IdPlan::HostRoot)
}
