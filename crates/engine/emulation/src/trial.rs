//! In: an architecture. Out: the smallest program of it, which ends at once with code 0, and whether it ran. Never: a program copied from elsewhere; a trial that lasts.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;

use crate::table::Architecture;

/// Where the program is loaded: behind every kernel's lowest address, and a multiple of the largest pages (64 KiB).
const BASE: u64 = 0x0040_0000;
/// Alignment of the segment: the largest pages there are.
const PAGE: u64 = 0x1_0000;
/// A trial that takes longer has failed.
const TRIAL_TIME_MAX: Duration = Duration::from_secs(10);
const TRIAL_PAUSE: Duration = Duration::from_millis(2);

/// What `exit(0)` is in the words of each processor, and the flags its ELF files carry. The numbers of the system call are
/// those of spec/binfmt.md §6.
fn exit_code(go: &str) -> Option<(Vec<u8>, u32)> {
    let little = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let big = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
    /// li r0, 1; li r3, 0; sc
    const PPC: [u32; 3] = [0x3800_0001, 0x3860_0000, 0x4400_0002];
    /// addiu v0, zero, 5058; addiu a0, zero, 0; syscall
    const MIPS64: [u32; 3] = [0x2402_13c2, 0x2404_0000, 0x0000_000c];
    /// MIPS64, release 1.
    const MIPS64_FLAGS: u32 = 0x6000_0000;
    /// The second ABI, whose entry point is code and not a descriptor.
    const PPC64_FLAGS: u32 = 2;
    Some(match go {
        // xor edi, edi; mov eax, 60; syscall
        "amd64" => (vec![0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05], 0),
        // xor eax, eax; inc eax; xor ebx, ebx; int 0x80
        "386" => (vec![0x31, 0xc0, 0x40, 0x31, 0xdb, 0xcd, 0x80], 0),
        // mov x0, #0; mov x8, #93; svc #0
        "arm64" => (little(&[0xd280_0000, 0xd280_0ba8, 0xd400_0001]), 0),
        // mov r0, #0; mov r7, #1; svc 0; flags: EABI 5
        "arm" => (little(&[0xe3a0_0000, 0xe3a0_7001, 0xef00_0000]), 0x0500_0000),
        // addi a0, zero, 0; addi a7, zero, 93; ecall
        "riscv64" => (little(&[0x0000_0513, 0x05d0_0893, 0x0000_0073]), 0),
        "ppc64le" => (little(&PPC), PPC64_FLAGS),
        "ppc64" => (big(&PPC), PPC64_FLAGS),
        "ppc" => (big(&PPC), 0),
        // lghi r2, 0; svc 1
        "s390x" => (vec![0xa7, 0x29, 0x00, 0x00, 0x0a, 0x01], 0),
        "mips64le" => (little(&MIPS64), MIPS64_FLAGS),
        "mips64" => (big(&MIPS64), MIPS64_FLAGS),
        // ori a0, zero, 0; ori a7, zero, 93; syscall 0; flags: LP64 with doubles, object ABI 1
        "loong64" => (little(&[0x0380_0004, 0x0381_740b, 0x002b_0000]), 0x43),
        _ => return None,
    })
}

/// The smallest ELF program of an architecture: headers, one segment, `exit(0)`. `None` when its instructions are not known.
pub fn program(architecture: &Architecture) -> Option<Vec<u8>> {
    let (code, flags) = exit_code(architecture.go)?;
    let wide = architecture.magic[4] == 2;
    let headers: u64 = if wide { 64 + 56 } else { 52 + 32 };
    let length = headers + code.len() as u64;
    let mut file = Numbers { bytes: architecture.magic.to_vec(), wide, big: architecture.magic[5] == 2 };
    file.word(1); // version
    file.address(BASE + headers); // entry
    file.address(headers - if wide { 56 } else { 32 }); // program headers
    file.address(0); // section headers
    file.word(flags);
    for number in if wide { [64, 56, 1, 0, 0, 0] } else { [52, 32, 1, 0, 0, 0] } {
        file.half(number);
    }
    // One loaded segment, readable and executable: the whole file.
    file.word(1);
    if wide {
        file.word(5);
    }
    for number in [0, BASE, BASE, length, length] {
        file.address(number);
    }
    if !wide {
        file.word(5);
    }
    file.address(PAGE);
    file.bytes.extend(code);
    Some(file.bytes)
}

/// Numbers in the byte order and width of an ELF file.
struct Numbers {
    bytes: Vec<u8>,
    wide: bool,
    big: bool,
}

impl Numbers {
    fn half(&mut self, number: u16) {
        self.bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    fn word(&mut self, number: u32) {
        self.bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
    }

    /// Everything here lies below 4 GiB.
    fn address(&mut self, number: u64) {
        let (high, low) = ((number >> 32) as u32, (number & 0xffff_ffff) as u32);
        match (self.wide, self.big) {
            (false, _) => self.word(low),
            (true, true) => [high, low].into_iter().for_each(|half| self.word(half)),
            (true, false) => [low, high].into_iter().for_each(|half| self.word(half)),
        }
    }
}

/// Runs the architecture's smallest program as the kernel would run any: by itself or through a registered emulator.
///
/// # Errors
/// Why it did not end with code 0.
pub(crate) fn by_kernel(architecture: &Architecture) -> Result<(), String> {
    with_program(architecture, |path| start(path.as_ref(), None))
}

/// Runs the architecture's smallest program with an emulator.
///
/// # Errors
/// Why it did not end with code 0.
pub(crate) fn by_emulator(architecture: &Architecture, emulator: &Path) -> Result<(), String> {
    with_program(architecture, |path| start(emulator.as_os_str(), Some(path.as_ref())))
}

fn with_program(architecture: &Architecture, run: impl Fn(&str) -> io::Result<Child>) -> Result<(), String> {
    let Some(program) = program(architecture) else { return Err("no test program is known".to_owned()) };
    let file = in_memory(&program).map_err(|error| format!("a test program cannot be made: {error}"))?;
    // The descriptor is inherited, so that the path is good for an emulator, too.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut child = run(&path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == rustix::io::Errno::NOEXEC.raw_os_error() => "exec format error".to_owned(),
        _ => error.to_string(),
    })?;
    wait(&mut child)
}

fn wait(child: &mut Child) -> Result<(), String> {
    let end = Instant::now() + TRIAL_TIME_MAX;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("the test program ended with {status}")),
            Ok(None) if Instant::now() < end => std::thread::sleep(TRIAL_PAUSE),
            Ok(None) => {
                // It is being ended; whether that works changes nothing for the answer.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("the test program did not end within {} s", TRIAL_TIME_MAX.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn start(program: &OsStr, argument: Option<&OsStr>) -> io::Result<Child> {
    Command::new(program)
        .args(argument)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn in_memory(program: &[u8]) -> io::Result<std::fs::File> {
    let descriptor = rustix::fs::memfd_create("trial", MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create("trial", MemfdFlags::empty()))?;
    let mut file = std::fs::File::from(descriptor);
    file.write_all(program)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elf::{self, Program};
    use crate::find::SearchPath;
    use crate::table::{ARCHITECTURES, by_go_name};

    #[test]
    fn every_architecture_has_a_program_that_its_entry_catches() {
        for architecture in &ARCHITECTURES {
            let bytes = program(architecture).unwrap();
            assert_eq!(bytes[..20], architecture.magic, "{}", architecture.go);
            assert!(bytes.len() < 160, "{}", architecture.go);
        }
    }

    #[test]
    fn the_machines_own_runs() {
        let own = crossdock_oci::Platform::host().architecture;
        assert_eq!(by_kernel(by_go_name(&own).unwrap()), Ok(()));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("own");
        fs_err::write(&file, program(by_go_name(&own).unwrap()).unwrap()).unwrap();
        assert_eq!(elf::inspect(&file).unwrap(), Program::Static);
    }

    #[test]
    fn foreign_ones_run_in_emulators() {
        let search = SearchPath::from_environment();
        let mut ran = Vec::new();
        for architecture in &ARCHITECTURES {
            match search.find(architecture) {
                Ok(emulator) => {
                    assert_eq!(by_emulator(architecture, &emulator.path), Ok(()), "{}", architecture.go);
                    ran.push(architecture.go);
                }
                Err(_) => {
                    println!("skipped: no static qemu-{}; CROSSDOCK_EMULATORS names a directory", architecture.qemu);
                }
            }
        }
        println!("ran: {ran:?}");
    }

    #[test]
    fn what_does_not_run_says_why() {
        let riscv = by_go_name("riscv64").unwrap();
        assert!(by_emulator(riscv, Path::new("/nowhere/qemu")).is_err());
        assert!(by_emulator(riscv, Path::new("/bin/false")).unwrap_err().contains("ended with"));
    }
}
