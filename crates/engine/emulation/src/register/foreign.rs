//! In: nothing. Out: the tables of docker/binfmt and of QEMU's own script, which differ from ours (spec/binfmt.md §2, §5). Never: a registration.

use std::path::Path;

use super::line::Line;

/// ELF numbers of an architecture and the group of architectures its processors run.
struct Target {
    cpu: &'static str,
    family: &'static str,
    wide: bool,
    big: bool,
    machine: u16,
}

const fn target(cpu: &'static str, family: &'static str, bits: u32, big: bool, machine: u16) -> Target {
    Target { cpu, family, wide: bits == 64, big, machine }
}

const LITTLE: bool = false;
const BIG: bool = true;
/// MIPS: this bit of the header's flags says that pointers have 32 bits in 64-bit registers.
const MIPS_N32: u8 = 0x20;

/// Every CPU QEMU's script registers, in its order.
const TARGETS: [Target; 34] = [
    target("i386", "i386", 32, LITTLE, 0x03),
    target("i486", "i386", 32, LITTLE, 0x06),
    target("alpha", "alpha", 64, LITTLE, 0x9026),
    target("arm", "arm", 32, LITTLE, 0x28),
    target("armeb", "armeb", 32, BIG, 0x28),
    target("sparc", "sparc", 32, BIG, 0x02),
    target("sparc32plus", "sparc", 32, BIG, 0x12),
    target("sparc64", "sparc", 64, BIG, 0x2b),
    target("ppc", "ppc", 32, BIG, 0x14),
    target("ppc64", "ppc", 64, BIG, 0x15),
    target("ppc64le", "ppcle", 64, LITTLE, 0x15),
    target("m68k", "m68k", 32, BIG, 0x04),
    target("mips", "mips", 32, BIG, 0x08),
    target("mipsel", "mips", 32, LITTLE, 0x08),
    target("mipsn32", "mips", 32, BIG, 0x08),
    target("mipsn32el", "mips", 32, LITTLE, 0x08),
    target("mips64", "mips", 64, BIG, 0x08),
    target("mips64el", "mips", 64, LITTLE, 0x08),
    target("sh4", "sh4", 32, LITTLE, 0x2a),
    target("sh4eb", "sh4", 32, BIG, 0x2a),
    target("s390x", "s390x", 64, BIG, 0x16),
    target("aarch64", "arm", 64, LITTLE, 0xb7),
    target("aarch64_be", "armeb", 64, BIG, 0xb7),
    target("hppa", "hppa", 32, BIG, 0x0f),
    target("riscv32", "riscv32", 32, LITTLE, 0xf3),
    target("riscv64", "riscv64", 64, LITTLE, 0xf3),
    target("xtensa", "xtensa", 32, LITTLE, 0x5e),
    target("xtensaeb", "xtensaeb", 32, BIG, 0x5e),
    target("microblaze", "microblaze", 32, BIG, 0xbaab),
    target("microblazeel", "microblazeel", 32, LITTLE, 0xbaab),
    target("or1k", "or1k", 32, BIG, 0x5c),
    target("x86_64", "i386", 64, LITTLE, 0x3e),
    target("hexagon", "hexagon", 32, LITTLE, 0xa4),
    target("loongarch64", "loongarch64", 64, LITTLE, 0x102),
];

impl Target {
    fn magic(&self) -> Vec<u8> {
        let mut bytes = vec![0x7f, b'E', b'L', b'F', if self.wide { 2 } else { 1 }, if self.big { 2 } else { 1 }, 1];
        bytes.resize(16, 0);
        for number in [2, self.machine] {
            bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        }
        bytes
    }

    fn mask(&self) -> Vec<u8> {
        let mut mask = vec![0xff; 20];
        mask[7] = 0;
        mask[if self.big { 17 } else { 16 }] = 0xfe;
        match self.cpu {
            "i386" | "i486" | "x86_64" | "alpha" => mask[5..7].copy_from_slice(&[0xfe, 0xfe]),
            "m68k" => mask[6] = 0xfe,
            "ppc64le" => mask[19] = 0,
            "loongarch64" => mask[7..9].copy_from_slice(&[0xfc, 0]),
            _ => {}
        }
        mask
    }

    /// 32-bit MIPS is told from N32 by the flags of the header, which end at its byte 40.
    fn with_flags(&self) -> (Vec<u8>, Vec<u8>) {
        let (mut magic, mut mask) = (self.magic(), self.mask());
        if self.family != "mips" || self.wide {
            return (magic, mask);
        }
        let version = 1_u32;
        magic.extend(if self.big { version.to_be_bytes() } else { version.to_le_bytes() });
        mask.extend([0xff; 4]);
        magic.resize(40, 0);
        mask.resize(40, 0);
        let place = if self.big { 39 } else { 36 };
        mask[place] = MIPS_N32;
        if self.cpu.starts_with("mipsn32") {
            magic[place] = MIPS_N32;
        }
        (magic, mask)
    }

    /// The name QEMU's program has for the CPU.
    fn program(&self) -> &'static str {
        if self.cpu == "i486" { "i386" } else { self.cpu }
    }
}

/// The family of this machine's own programs.
fn own_family() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" | "x86" => "i386",
        "aarch64" | "arm" => "arm",
        "powerpc64" if cfg!(target_endian = "little") => "ppcle",
        "powerpc64" | "powerpc" => "ppc",
        other => other,
    }
}

/// QEMU's name of a CPU, when it has such a one.
pub fn cpu_named(word: &str) -> Option<&'static str> {
    TARGETS.iter().find(|target| target.cpu == word).map(Target::program)
}

/// What multiarch/qemu-user-static registers here, in its order: CPU, emulator's name in QEMU's words, line.
pub fn qemu_script(directory: &Path, flags: &str) -> Vec<(&'static str, &'static str, Line)> {
    TARGETS
        .iter()
        .filter(|target| target.family != own_family())
        .map(|target| {
            let (magic, mask) = target.with_flags();
            let line = Line {
                name: format!("qemu-{}", target.cpu),
                magic,
                mask,
                interpreter: directory.join(format!("qemu-{}-static", target.program())),
                flags: flags.to_owned(),
                offset: "",
            };
            (target.cpu, target.program(), line)
        })
        .collect()
}

/// What docker/binfmt registers: the emulator's name in QEMU's words, and the line. Its row for aarch64 has 19 bytes.
pub fn docker_binfmt(directory: &Path) -> Vec<(&'static str, Line)> {
    ["aarch64", "arm", "ppc64le", "riscv64", "s390x"]
        .into_iter()
        .filter_map(|cpu| TARGETS.iter().find(|target| target.cpu == cpu && target.cpu != std::env::consts::ARCH))
        .map(|target| {
            let (mut magic, mut mask) = (target.magic(), target.mask());
            match target.cpu {
                "aarch64" => {
                    magic.truncate(19);
                    mask.truncate(19);
                }
                "ppc64le" => mask[7] = 0xfc,
                _ => {}
            }
            let line = Line {
                name: format!("qemu-{}", target.cpu),
                magic,
                mask,
                interpreter: directory.join(format!("qemu-{}", target.cpu)),
                flags: "CF".to_owned(),
                offset: "",
            };
            (target.cpu, line)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ARCHITECTURES;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn rows_agree_with_our_own_table_where_both_have_one() {
        for architecture in &ARCHITECTURES {
            let target = TARGETS.iter().find(|target| target.cpu == architecture.qemu).unwrap();
            assert_eq!(target.magic(), architecture.magic, "{}", target.cpu);
            let mut mask = architecture.mask;
            // tonistiigi/binfmt ignores the ABI version of MIPS, QEMU's script does not.
            if target.cpu.starts_with("mips") {
                mask[8] = 0xff;
            }
            assert_eq!(hex(&target.mask()), hex(&mask), "{}", target.cpu);
        }
    }

    #[test]
    fn mips_is_told_apart_by_its_flags() {
        let row = |cpu| TARGETS.iter().find(|target| target.cpu == cpu).unwrap().with_flags();
        let (magic, mask) = row("mipsn32");
        assert_eq!((magic.len(), magic[39], mask[39], mask[36]), (40, 0x20, 0x20, 0));
        let (magic, mask) = row("mipsel");
        assert_eq!((magic.len(), magic[20], magic[36], mask[36]), (40, 1, 0, 0x20));
        assert_eq!(row("mips64").0.len(), 20);
    }

    #[test]
    fn the_five_rows_of_docker_binfmt() {
        let rows = docker_binfmt(Path::new("/usr/bin"));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(rows.len(), 5);
            let (cpu, line) = &rows[0];
            assert_eq!(*cpu, "aarch64");
            assert_eq!(hex(&line.magic), "7f454c460201010000000000000000000200b7");
            assert_eq!(hex(&line.mask), "ffffffffffffff00fffffffffffffffffeffff");
            assert_eq!((line.interpreter.to_str().unwrap(), line.flags.as_str()), ("/usr/bin/qemu-aarch64", "CF"));
            assert_eq!(hex(&rows[2].1.mask), "fffffffffffffffcfffffffffffffffffeffff00");
        }
    }

    #[test]
    fn the_machines_own_family_is_left_out() {
        let rows = qemu_script(Path::new("/usr/bin"), "");
        assert!(rows.iter().all(|(cpu, _, _)| *cpu != std::env::consts::ARCH));
        if cfg!(target_arch = "x86_64") {
            assert_eq!(rows.len(), 31);
            assert_eq!(rows[0].0, "alpha");
            assert!(rows[1].2.to_string().ends_with(":/usr/bin/qemu-arm-static:"), "{}", rows[1].2);
            assert!(rows[1].2.to_string().starts_with(":qemu-arm:M::\\x7f"), "{}", rows[1].2);
        }
    }
}
