//! In: the first bytes of a file of a layer. Out: whether it is a program, for which architecture, and what starts it. Never: the rest of the file, a panic on hostile bytes.

mod layer;
mod tap;

pub use layer::Programs;
pub use tap::Tap;

/// How much of a file is looked at, in bytes: loaders are named close to the head.
pub const HEAD_BYTES: usize = 4096;
/// Longest name of a script's interpreter, in bytes, as of Linux.
const SCRIPT_LINE_BYTES_MAX: usize = 255;
/// The program header that names a loader.
const PT_INTERP: u32 = 3;
/// Program headers that are looked at.
const PROGRAM_HEADERS_MAX: u16 = 128;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

/// What a file begins with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Head {
    /// A program or a shared library.
    Elf(Elf),
    /// A script, and the path behind its `#!`.
    Script {
        /// The interpreter as the file names it.
        interpreter: Vec<u8>,
    },
    /// Anything else: text, data, an object file, a core dump.
    Other,
}

/// A program in ELF form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Elf {
    /// `e_machine`.
    pub machine: u16,
    /// 64 bits.
    pub wide: bool,
    /// Big-endian.
    pub big: bool,
    /// The loader it names; none for static programs, and for shared libraries.
    pub loader: Option<Vec<u8>>,
}

/// Machines we know, as images name their architectures: `e_machine`, 64 bits, big-endian.
const ARCHITECTURES: [(&str, u16, bool, bool); 15] = [
    ("amd64", 62, true, false),
    // The x32 ABI: an amd64 program with short pointers.
    ("amd64", 62, false, false),
    ("386", 3, false, false),
    ("arm64", 183, true, false),
    ("arm", 40, false, false),
    ("riscv64", 243, true, false),
    ("ppc64le", 21, true, false),
    ("ppc64", 21, true, true),
    ("s390x", 22, true, true),
    ("mips64le", 8, true, false),
    ("mips64", 8, true, true),
    ("mipsle", 8, false, false),
    ("mips", 8, false, true),
    ("loong64", 258, true, false),
    ("ppc", 20, false, true),
];

/// What else runs on a processor, as every kernel of a distribution has it.
const ALSO_RUN: [(&str, &str); 4] = [("amd64", "386"), ("arm64", "arm"), ("mips64le", "mipsle"), ("mips64", "mips")];

impl Elf {
    /// The architecture it is for, by the name images use; none for a machine we do not know.
    pub fn architecture(&self) -> Option<&'static str> {
        let key = (self.machine, self.wide, self.big);
        ARCHITECTURES.iter().find(|(_, machine, wide, big)| (*machine, *wide, *big) == key).map(|known| known.0)
    }

    /// The architecture it is for, when an image of `architecture` cannot run it. Of machines we do not know, and for
    /// images of such, nothing is said.
    pub fn misfit(&self, architecture: &str) -> Option<&'static str> {
        self.architecture().filter(|own| !fits(own, architecture))
    }
}

/// Whether an image of `architecture` runs programs for `own`; of architectures we do not know nothing is denied.
pub fn fits(own: &str, architecture: &str) -> bool {
    own == architecture
        || ALSO_RUN.contains(&(architecture, own))
        || !ARCHITECTURES.iter().any(|known| known.0 == architecture)
}

impl Head {
    /// Looks at the first [`HEAD_BYTES`] of a file, or all of it.
    pub fn of(bytes: &[u8]) -> Self {
        if let Some(elf) = elf(bytes) {
            return Self::Elf(elf);
        }
        bytes.strip_prefix(b"#!").and_then(interpreter).map_or(Self::Other, |interpreter| Self::Script { interpreter })
    }
}

/// The first word of a script's first line.
fn interpreter(line: &[u8]) -> Option<Vec<u8>> {
    let line = &line[..line.len().min(SCRIPT_LINE_BYTES_MAX)];
    let line = line.split(|byte| *byte == b'\n' || *byte == 0).next()?;
    let word = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).find(|word| !word.is_empty())?;
    Some(word.to_vec())
}

fn elf(bytes: &[u8]) -> Option<Elf> {
    let fields = Fields::of(bytes)?;
    if !matches!(fields.u16(16)?, ET_EXEC | ET_DYN) {
        return None;
    }
    let (wide, big) = (fields.wide, fields.big);
    Some(Elf { machine: fields.u16(18)?, wide, big, loader: fields.loader() })
}

/// Numbers of an ELF head in its own byte order and width.
struct Fields<'a> {
    bytes: &'a [u8],
    wide: bool,
    big: bool,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let (class, data) = (*bytes.get(4)?, *bytes.get(5)?);
        let known = bytes.starts_with(b"\x7fELF") && matches!(class, 1 | 2) && matches!(data, 1 | 2);
        known.then_some(Self { bytes, wide: class == 2, big: data == 2 })
    }

    fn at<const N: usize>(&self, place: usize) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = self.bytes.get(place..place.checked_add(N)?)?.try_into().ok()?;
        if self.big {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u16(&self, place: usize) -> Option<u16> {
        self.at(place).map(u16::from_le_bytes)
    }

    fn u32(&self, place: usize) -> Option<u32> {
        self.at(place).map(u32::from_le_bytes)
    }

    /// A number as wide as the program's addresses.
    fn address(&self, place: usize) -> Option<usize> {
        let number = if self.wide { self.at(place).map(u64::from_le_bytes) } else { self.u32(place).map(u64::from) };
        usize::try_from(number?).ok()
    }

    /// What PT_INTERP says, when it lies in the bytes at hand.
    fn loader(&self) -> Option<Vec<u8>> {
        let (table, size, count) = if self.wide {
            (self.address(32)?, self.u16(54)?, self.u16(56)?)
        } else {
            (self.address(28)?, self.u16(42)?, self.u16(44)?)
        };
        for index in 0..count.min(PROGRAM_HEADERS_MAX) {
            let header = table.checked_add(usize::from(index) * usize::from(size))?;
            if self.u32(header)? == PT_INTERP {
                let (offset, length) = if self.wide { (8, 32) } else { (4, 16) };
                let from = self.address(header.checked_add(offset)?)?;
                let length = self.address(header.checked_add(length)?)?;
                let text = self.bytes.get(from..from.checked_add(length)?)?;
                let text = text.split(|byte| *byte == 0).next()?;
                return (!text.is_empty()).then(|| text.to_vec());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
