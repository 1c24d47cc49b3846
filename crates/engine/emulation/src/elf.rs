//! In: the first bytes of a file. Out: whether it is a static program of this machine. Never: the whole file.

use std::io::{self, Read as _};
use std::path::Path;

/// How much of a file is read: header and program headers, in bytes.
const HEAD_BYTES: u64 = 64 << 10;
/// The program header that names a loader.
const PT_INTERP: u32 = 3;

/// What a file is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Static,
    /// It names a loader, which an image does not have.
    Dynamic,
    /// A program of another architecture, by its ELF machine number.
    Foreign(u16),
    NotElf,
}

/// Looks at a file.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn inspect(path: &Path) -> io::Result<Program> {
    let mut head = Vec::new();
    fs_err::File::open(path)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(classify(&head))
}

/// ELF machine number of this machine.
const fn own_machine() -> u16 {
    if cfg!(target_arch = "x86_64") {
        0x3e
    } else if cfg!(target_arch = "aarch64") {
        0xb7
    } else if cfg!(target_arch = "riscv64") {
        0xf3
    } else if cfg!(target_arch = "powerpc64") {
        0x15
    } else if cfg!(target_arch = "s390x") {
        0x16
    } else {
        0
    }
}

fn classify(head: &[u8]) -> Program {
    let Some(elf) = Fields::of(head) else { return Program::NotElf };
    let wide = head[4] == 2;
    let Some(machine) = elf.u16(18) else { return Program::NotElf };
    if machine != own_machine() {
        return Program::Foreign(machine);
    }
    let (offset, size, count) = if wide {
        (elf.u64(32), elf.u16(54), elf.u16(56))
    } else {
        (elf.u32(28).map(u64::from), elf.u16(42), elf.u16(44))
    };
    let (Some(offset), Some(size), Some(count)) = (offset, size, count) else { return Program::NotElf };
    for index in 0..u64::from(count) {
        let place = offset.saturating_add(index * u64::from(size));
        match usize::try_from(place).ok().and_then(|place| elf.u32(place)) {
            Some(PT_INTERP) => return Program::Dynamic,
            Some(_) => {}
            None => return Program::NotElf,
        }
    }
    Program::Static
}

/// Numbers of an ELF head in its own byte order.
struct Fields<'a> {
    head: &'a [u8],
    big: bool,
}

impl<'a> Fields<'a> {
    fn of(head: &'a [u8]) -> Option<Self> {
        (head.len() >= 52 && head.starts_with(b"\x7fELF")).then(|| Self { head, big: head[5] == 2 })
    }

    fn bytes<const N: usize>(&self, place: usize) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = self.head.get(place..place.checked_add(N)?)?.try_into().ok()?;
        if self.big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u16(&self, place: usize) -> Option<u16> {
        self.bytes(place).map(u16::from_le_bytes)
    }

    fn u32(&self, place: usize) -> Option<u32> {
        self.bytes(place).map(u32::from_le_bytes)
    }

    fn u64(&self, place: usize) -> Option<u64> {
        self.bytes(place).map(u64::from_le_bytes)
    }
}

/// A program of 32 bits that ends at once with code 0: trying it tells whether this kernel runs its architecture.
pub(crate) fn tiny_32_bit_program(machine: u16, code: &[u8]) -> Vec<u8> {
    /// Where the file is mapped.
    const BASE: u32 = 0x0001_0000;
    const HEADERS: u32 = 52 + 32;
    let length = HEADERS + u32::try_from(code.len()).unwrap_or_default();
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, number: u16| file.extend(number.to_le_bytes());
    let word = |file: &mut Vec<u8>, number: u32| file.extend(number.to_le_bytes());
    half(&mut file, 2); // executable
    half(&mut file, machine);
    // Version, entry, program headers, section headers, flags: 0x05000000 is the ARM EABI, which x86 ignores.
    for number in [1, BASE + HEADERS, 52, 0, if machine == 0x28 { 0x0500_0000 } else { 0 }] {
        word(&mut file, number);
    }
    for number in [52, 32, 1, 0, 0, 0] {
        half(&mut file, number);
    }
    // One loaded segment, readable and executable: the whole file.
    for number in [1, 0, BASE, BASE, length, length, 5, 0x1000] {
        word(&mut file, number);
    }
    file.extend(code);
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_a_program_and_a_script_is_none() {
        assert!(matches!(inspect(Path::new("/proc/self/exe")).unwrap(), Program::Dynamic | Program::Static));
        assert_eq!(classify(b"#!/bin/sh\n"), Program::NotElf);
        assert_eq!(classify(&[]), Program::NotElf);
    }

    #[test]
    fn foreign_programs_and_damaged_heads_are_told() {
        let tiny = tiny_32_bit_program(0x28, &[0; 12]);
        assert_eq!(tiny.len(), 52 + 32 + 12);
        assert_eq!(classify(&tiny), Program::Foreign(0x28));
        let mut head = vec![0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18..20].copy_from_slice(&own_machine().to_le_bytes());
        assert_eq!(classify(&head), Program::Static);
        head[32] = 200;
        head[54] = 56;
        head[56] = 1;
        assert_eq!(classify(&head), Program::NotElf);
    }
}
