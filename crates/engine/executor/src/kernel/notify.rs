//! In: a filter's listener. Out: the thread that waits at it has a descriptor more, and goes on. Never: a verdict on the call itself.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use super::checked;

/// `struct seccomp_notif` of the kernel, 80 bytes.
#[repr(C)]
#[derive(Default)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    /// `struct seccomp_data`: number, architecture, place, six arguments.
    data: [u64; 8],
}

/// `struct seccomp_notif_addfd`.
#[repr(C)]
struct AddDescriptor {
    id: u64,
    flags: u32,
    source: u32,
    target: u32,
    target_flags: u32,
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const RECEIVE: u32 = 0xc050_2100;
const SEND: u32 = 0xc018_2101;
const ADD_DESCRIPTOR: u32 = 0x4018_2103;

fn ioctl<T>(listener: BorrowedFd<'_>, request: u32, argument: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: the three requests above take a pointer to a structure whose size is part of their number; the types are private to this file and
    // each is passed with its own request.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), request as _, std::ptr::from_mut(argument)) };
    checked(libc::c_long::from(result)).map(|_| result)
}

/// A thread that waits at a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    id: u64,
    /// Its number in our pid namespace.
    pub(crate) thread: u32,
}

/// The next thread that waits. The listener must be readable.
///
/// # Errors
/// ENOENT when the thread was killed.
pub(crate) fn next(listener: BorrowedFd<'_>) -> io::Result<Waiting> {
    let mut waiting = Notification::default();
    ioctl(listener, RECEIVE, &mut waiting)?;
    Ok(Waiting { id: waiting.id, thread: waiting.pid })
}

/// Gives a waiting thread a copy of a descriptor, closed at its next execution, as the result of its call; or EPERM.
///
/// # Errors
/// ENOENT when the thread was killed.
pub(crate) fn answer(listener: BorrowedFd<'_>, waiting: Waiting, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let given = descriptor.ok_or_else(|| io::Error::from_raw_os_error(libc::EPERM)).and_then(|descriptor| {
        let source = u32::try_from(descriptor.as_raw_fd()).unwrap_or(u32::MAX);
        let target_flags = libc::O_CLOEXEC.cast_unsigned();
        ioctl(
            listener,
            ADD_DESCRIPTOR,
            &mut AddDescriptor { id: waiting.id, flags: 0, source, target: 0, target_flags },
        )
    });
    let (value, error) = match given {
        Ok(number) => (i64::from(number), 0),
        // A thread that may have no more descriptors hears that.
        Err(error) => (0, -error.raw_os_error().unwrap_or(libc::EIO)),
    };
    ioctl(listener, SEND, &mut Answer { id: waiting.id, value, error, flags: 0 }).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_the_requests() {
        let size = |request: u32| ((request >> 16) & 0x3fff) as usize;
        assert_eq!(size_of::<Notification>(), size(RECEIVE));
        assert_eq!(size_of::<AddDescriptor>(), size(ADD_DESCRIPTOR));
        assert_eq!(size_of::<Answer>(), size(SEND));
    }
}
