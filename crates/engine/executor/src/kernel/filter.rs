//! In: a classic BPF program. Out: that program in force for this process and all it starts. Never: a program that was not made by `seccomp`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};

use super::checked;
use crate::seccomp::Instruction;

/// Puts a filter in force. The caller must hold CAP_SYS_ADMIN in its user namespace; no_new_privs is left alone, so that sudo works in steps.
///
/// # Errors
/// EACCES without the capability, EINVAL for a bad program or a kernel without seccomp filters.
pub(crate) fn install(program: &[Instruction]) -> io::Result<()> {
    // Without SPEC_ALLOW kernels before 5.16 slow the step down by a mitigation that containers elsewhere do without, too.
    put_in_force(program, &[libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0]).map(drop)
}

/// The same with a listener for the calls that the filter wants answered; `None` where a filter around us has one already, or the kernel none.
///
/// # Errors
/// As [`install`].
pub(crate) fn install_listening(program: &[Instruction]) -> io::Result<Option<OwnedFd>> {
    let listening = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    match put_in_force(program, &[listening | libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW]) {
        Ok(number) => {
            let number = libc::c_int::try_from(number).unwrap_or(-1);
            // SAFETY: with this flag the kernel gives a new descriptor, which is nobody else's.
            Ok((number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) }))
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EINVAL)) => {
            install(program).map(|()| None)
        }
        Err(error) => Err(error),
    }
}

/// Tries flags until the kernel knows them.
fn put_in_force(program: &[Instruction], tries: &[libc::c_ulong]) -> io::Result<libc::c_long> {
    let mut filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jump_true, jf: one.jump_false, k: one.value })
        .collect();
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    let mut refusal = io::Error::from_raw_os_error(libc::EINVAL);
    for &flags in tries {
        // SAFETY: the kernel copies the program during the call; pointer and length describe the vector, which outlives it.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        match checked(result) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refusal = error,
            outcome => return outcome,
        }
    }
    Err(refusal)
}
