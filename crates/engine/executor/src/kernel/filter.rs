//! In: a classic BPF program. Out: that program in force for this process and all it starts. Never: a program that was not made by `seccomp`.
#![allow(unsafe_code)]

use std::io;

use super::checked;
use crate::seccomp::Instruction;

/// Puts a filter in force. The caller must hold CAP_SYS_ADMIN in its user namespace; no_new_privs is left alone, so that sudo works in steps.
///
/// # Errors
/// EACCES without the capability, EINVAL for a bad program or a kernel without seccomp filters.
pub(crate) fn install(program: &[Instruction]) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> = program
        .iter()
        .map(|one| libc::sock_filter { code: one.code, jt: one.jump_true, jf: one.jump_false, k: one.value })
        .collect();
    let length = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len: length, filter: filter.as_mut_ptr() };
    // Without SPEC_ALLOW kernels before 5.16 slow the step down by a mitigation that containers elsewhere do without, too.
    for flags in [libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0] {
        // SAFETY: the kernel copies the program during the call; pointer and length describe the vector, which outlives it.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        match checked(result) {
            Ok(_) => return Ok(()),
            Err(error) if flags != 0 && error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
