//! In: an architecture. Out: how its ELF files begin, what QEMU calls it, the line that registers an emulator for it. Never: a registration.
//!
//! The table is spec/binfmt.md §2: magic and mask cover the first 20 bytes of the file.

use std::fmt::Write as _;

/// Bytes of an ELF file that magic and mask cover.
pub const MAGIC_BYTES: usize = 20;
/// Flags of the entries we make: keep argv[0], hand over the open binary, take credentials from it, open the interpreter now.
pub const REGISTRATION_FLAGS: &str = "POCF";

/// How programs of an architecture are told apart and emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture {
    /// Go's word, as platforms use it: `arm64`.
    pub go: &'static str,
    /// QEMU's word, as emulators are named: `aarch64`.
    pub qemu: &'static str,
    pub magic: [u8; MAGIC_BYTES],
    pub mask: [u8; MAGIC_BYTES],
}

/// Size of the ELF class: the byte after the magic word.
const BITS_32: u8 = 1;
const BITS_64: u8 = 2;

const fn little(
    go: &'static str,
    qemu: &'static str,
    class: u8,
    machine: u16,
    mask: [u8; MAGIC_BYTES],
) -> Architecture {
    let machine = machine.to_le_bytes();
    let magic = [0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, machine[0], machine[1]];
    Architecture { go, qemu, magic, mask }
}

const fn big(go: &'static str, qemu: &'static str, class: u8, machine: u16, mask: [u8; MAGIC_BYTES]) -> Architecture {
    let machine = machine.to_be_bytes();
    let magic = [0x7f, b'E', b'L', b'F', class, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, machine[0], machine[1]];
    Architecture { go, qemu, magic, mask }
}

/// Little endian: the OS ABI and the low bit of the type do not count.
const LE: [u8; MAGIC_BYTES] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff,
];
/// Big endian: the low bit of the type is in the second byte.
const BE: [u8; MAGIC_BYTES] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff,
];
/// x86: programs of old linkers have odd bytes in the header.
const X86: [u8; MAGIC_BYTES] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xfe, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff,
];
const LE_ANY_MACHINE_HIGH: [u8; MAGIC_BYTES] = {
    let mut mask = LE;
    mask[19] = 0;
    mask
};
/// MIPS: the ABI version does not count either.
const LE_ANY_ABI_VERSION: [u8; MAGIC_BYTES] = {
    let mut mask = LE;
    mask[8] = 0;
    mask
};
const BE_ANY_ABI_VERSION: [u8; MAGIC_BYTES] = {
    let mut mask = BE;
    mask[8] = 0;
    mask
};
const LOONG: [u8; MAGIC_BYTES] = {
    let mut mask = LE;
    mask[7] = 0xfc;
    mask[8] = 0;
    mask
};

/// All architectures whose steps can be emulated.
pub const ARCHITECTURES: [Architecture; 12] = [
    little("amd64", "x86_64", BITS_64, 0x3e, X86),
    little("386", "i386", BITS_32, 0x03, X86),
    little("arm64", "aarch64", BITS_64, 0xb7, LE),
    little("arm", "arm", BITS_32, 0x28, LE),
    little("riscv64", "riscv64", BITS_64, 0xf3, LE),
    little("ppc64le", "ppc64le", BITS_64, 0x15, LE_ANY_MACHINE_HIGH),
    big("ppc64", "ppc64", BITS_64, 0x15, BE),
    big("s390x", "s390x", BITS_64, 0x16, BE),
    little("mips64le", "mips64el", BITS_64, 0x08, LE_ANY_ABI_VERSION),
    big("mips64", "mips64", BITS_64, 0x08, BE_ANY_ABI_VERSION),
    little("loong64", "loongarch64", BITS_64, 0x102, LOONG),
    big("ppc", "ppc", BITS_32, 0x14, BE),
];

/// The architecture Go calls this.
pub fn by_go_name(go: &str) -> Option<&'static Architecture> {
    ARCHITECTURES.iter().find(|architecture| architecture.go == go)
}

impl Architecture {
    /// The line that registers `interpreter` (absolute, at most 127 bytes) in a binfmt_misc of our own.
    pub fn registration_line(&self, interpreter: &str) -> String {
        let escaped = |bytes: &[u8]| {
            bytes.iter().fold(String::with_capacity(bytes.len() * 4), |mut text, byte| {
                let _ = write!(text, "\\x{byte:02x}");
                text
            })
        };
        format!(
            ":crossdock-{}:M:0:{}:{}:{interpreter}:{REGISTRATION_FLAGS}",
            self.qemu,
            escaped(&self.magic),
            escaped(&self.mask)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn rows_agree_with_the_specification() {
        let rows = [
            ("amd64", "7f454c4602010100000000000000000002003e00", "fffffffffffefe00fffffffffffffffffeffffff"),
            ("386", "7f454c4601010100000000000000000002000300", "fffffffffffefe00fffffffffffffffffeffffff"),
            ("arm64", "7f454c460201010000000000000000000200b700", "ffffffffffffff00fffffffffffffffffeffffff"),
            ("arm", "7f454c4601010100000000000000000002002800", "ffffffffffffff00fffffffffffffffffeffffff"),
            ("riscv64", "7f454c460201010000000000000000000200f300", "ffffffffffffff00fffffffffffffffffeffffff"),
            ("ppc64le", "7f454c4602010100000000000000000002001500", "ffffffffffffff00fffffffffffffffffeffff00"),
            ("ppc64", "7f454c4602020100000000000000000000020015", "ffffffffffffff00fffffffffffffffffffeffff"),
            ("s390x", "7f454c4602020100000000000000000000020016", "ffffffffffffff00fffffffffffffffffffeffff"),
            ("mips64le", "7f454c4602010100000000000000000002000800", "ffffffffffffff0000fffffffffffffffeffffff"),
            ("mips64", "7f454c4602020100000000000000000000020008", "ffffffffffffff0000fffffffffffffffffeffff"),
            ("loong64", "7f454c4602010100000000000000000002000201", "fffffffffffffffc00fffffffffffffffeffffff"),
        ];
        for (go, magic, mask) in rows {
            let architecture = by_go_name(go).unwrap();
            assert_eq!((hex(&architecture.magic).as_str(), hex(&architecture.mask).as_str()), (magic, mask), "{go}");
        }
    }

    #[test]
    fn lines_fit_the_kernel() {
        let line = by_go_name("arm64").unwrap().registration_line("/proc/self/fd/9");
        assert!(line.starts_with(":crossdock-aarch64:M:0:\\x7f\\x45\\x4c\\x46\\x02\\x01"), "{line}");
        assert!(line.ends_with(":/proc/self/fd/9:POCF"), "{line}");
        assert!(line.len() < 1920);
    }
}
