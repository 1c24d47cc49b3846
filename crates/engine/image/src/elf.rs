//! In: the first bytes of a file, a platform. Out: whether an ELF program fits the platform. Never: a word about files that are no ELF programs.

use crossdock_oci::Platform;

/// What an ELF header says of the machine it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// `e_machine`.
    pub number: u16,
    /// 64-bit class.
    pub wide: bool,
    pub little_endian: bool,
}

/// Bytes of a file that are enough for [`Machine::read`].
pub const HEADER_SIZE: usize = 20;

impl Machine {
    /// Reads the header of an ELF file; `None` for anything else.
    pub fn read(head: &[u8]) -> Option<Self> {
        if head.len() < HEADER_SIZE || head[..4] != *b"\x7fELF" {
            return None;
        }
        let little_endian = head[5] == 1;
        let pair = [head[18], head[19]];
        let number = if little_endian { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) };
        Some(Self { number, wide: head[4] == 2, little_endian })
    }

    /// The machine of a platform; `None` for platforms without a row in spec/binfmt.md §2.
    pub fn of_platform(platform: &Platform) -> Option<Self> {
        let (number, wide, little_endian) = match platform.architecture.as_str() {
            "amd64" => (0x3e, true, true),
            "386" => (0x03, false, true),
            "arm64" => (0xb7, true, true),
            "arm" => (0x28, false, true),
            "riscv64" => (0xf3, true, true),
            "ppc64le" => (0x15, true, true),
            "ppc64" => (0x15, true, false),
            "s390x" => (0x16, true, false),
            "mips64le" => (0x08, true, true),
            "mips64" => (0x08, true, false),
            "loong64" => (0x102, true, true),
            _ => return None,
        };
        Some(Self { number, wide, little_endian })
    }

    /// Whether a program for this machine runs on the platform: its own, and 32-bit x86 on amd64.
    pub fn fits(self, platform: &Platform) -> bool {
        let Some(own) = Self::of_platform(platform) else { return true };
        self == own || (platform.architecture == "amd64" && self.number == 0x03)
    }

    /// The name people know.
    pub const fn name(self) -> &'static str {
        match self.number {
            0x3e => "x86-64",
            0x03 => "Intel 80386",
            0xb7 => "AArch64",
            0x28 => "ARM",
            0xf3 => "RISC-V",
            0x15 => "PowerPC64",
            0x16 => "IBM S/390",
            0x08 => "MIPS",
            0x102 => "LoongArch",
            _ => "another machine",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_binary_fits_our_own_platform_and_no_other() {
        let head = fs_err::read(std::env::current_exe().unwrap()).unwrap();
        let machine = Machine::read(&head).unwrap();
        assert!(machine.fits(&Platform::host()));
        assert!(!machine.fits(&Platform::new("linux", "s390x", "")));
        assert_eq!(Machine::read(b"#!/bin/sh\n"), None);
    }
}
