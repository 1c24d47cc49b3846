//! In: this processor and kernel. Out: which platforms run without emulation. Never: an assumption where a cheap trial exists.

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::process::{Command, Stdio};

use rustix::fs::MemfdFlags;

use crate::elf;

/// The microarchitecture level of x86-64 this processor reaches (1 to 4); 0 on other processors. Levels as spec/binfmt.md §6.
pub(crate) fn amd64_level() -> u32 {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        let two =
            has!("sse3") && has!("ssse3") && has!("sse4.1") && has!("sse4.2") && has!("popcnt") && has!("cmpxchg16b");
        let three = has!("avx")
            && has!("avx2")
            && has!("bmi1")
            && has!("bmi2")
            && has!("f16c")
            && has!("fma")
            && has!("lzcnt")
            && has!("movbe");
        let four = has!("avx512f") && has!("avx512bw") && has!("avx512cd") && has!("avx512dq") && has!("avx512vl");
        match (two, three, four) {
            (true, true, true) => 4,
            (true, true, false) => 3,
            (true, false, _) => 2,
            (false, ..) => 1,
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Whether this kernel runs the 32-bit programs of its own family: 386 on amd64, arm on arm64. Tries one; about a millisecond.
pub(crate) fn runs_32_bit() -> bool {
    let program = if cfg!(target_arch = "x86_64") {
        // xor eax, eax; inc eax; xor ebx, ebx; int 0x80: exit(0)
        elf::tiny_32_bit_program(0x03, &[0x31, 0xc0, 0x40, 0x31, 0xdb, 0xcd, 0x80])
    } else if cfg!(target_arch = "aarch64") {
        // mov r0, #0; mov r7, #1; svc 0: exit(0)
        elf::tiny_32_bit_program(0x28, &[0x00, 0x00, 0xa0, 0xe3, 0x01, 0x70, 0xa0, 0xe3, 0x00, 0x00, 0x00, 0xef])
    } else {
        return false;
    };
    try_program(&program).unwrap_or(false)
}

fn try_program(program: &[u8]) -> std::io::Result<bool> {
    let flags = MemfdFlags::CLOEXEC;
    let descriptor = rustix::fs::memfd_create("trial", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("trial", flags))?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(program)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let status = Command::new(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_trial_agrees_with_the_kernel_configuration() {
        let emulates = std::path::Path::new("/proc/sys/abi/vsyscall32").exists();
        assert_eq!(runs_32_bit(), emulates);
        assert!((1..=4).contains(&amd64_level()));
    }

    #[test]
    fn a_program_that_is_none_does_not_run() {
        assert!(!try_program(b"\x7fELF nothing").unwrap_or(false));
    }
}
