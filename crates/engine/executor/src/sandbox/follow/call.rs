//! In: an execution that a process of the step is about to make. Out: whether the emulator has to come before it, and with which words. Never: a change of the process.
//!
//! Whatever the kernel itself can answer is left to it: a missing file, a missing right, a script of the machine's own programs. Only a program of
//! the emulated architecture, behind up to five scripts, becomes another execution.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crossdock_emulation::table::Architecture;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::process::Gid;

use super::emulators::{self, Emulators, Rights};
use super::memory::{Memory, Word};
use super::root::{From, Standpoint};
use super::script::{self, HEAD_BYTES, Kind};
use crate::kernel::trace::{self, Registers};

/// How many scripts may lead to a program, as in the kernel.
const SCRIPTS_MAX: usize = 5;
/// How often `/proc/self/exe` may stand for another program; one is enough.
const SELF_MAX: usize = 2;

/// What becomes of an execution.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel does it as it is.
    Pass,
    /// It fails with this error number.
    Refuse(i32),
    Emulate(Emulation),
}

/// An execution of the emulator.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Emulation {
    pub(super) rights: Rights,
    /// The program's path for the emulator.
    pub(super) program: Vec<u8>,
    /// The program's words, its name first.
    words: Vec<Word>,
    /// The address of the environment.
    pub(super) environment: u64,
}

impl Emulation {
    /// The emulator's words: its own name, the program's, the program, the rest.
    pub(super) fn words(&self, emulator: &[u8]) -> Vec<Word> {
        let mut list = Vec::with_capacity(self.words.len() + 3);
        list.push(Word::Text(emulator.to_vec()));
        list.push(Word::Text(b"-0".to_vec()));
        list.push(self.words.first().cloned().unwrap_or_else(|| Word::Text(Vec::new())));
        list.push(Word::Text(self.program.clone()));
        list.extend(self.words.iter().skip(1).cloned());
        list
    }
}

/// Who a process is when it looks for files.
#[derive(Debug, Default, PartialEq, Eq)]
struct Identity {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    /// All four ids are the same.
    one_uid: bool,
    /// Numbers in the innermost namespace.
    process: u32,
    thread: u32,
}

/// A thread at the door of an execution.
pub(super) struct Thread {
    /// Its directory in our /proc.
    pub(super) directory: PathBuf,
    identity: Identity,
    stand: Standpoint,
    pub(super) memory: Memory,
}

impl Thread {
    pub(super) fn look_at(directory: PathBuf) -> io::Result<Self> {
        let identity = Identity::read(&fs_err::read_to_string(directory.join("status"))?);
        let stand = Standpoint::of(&directory, identity.process, identity.thread)?;
        let memory = Memory::open(&directory)?;
        Ok(Self { directory, identity, stand, memory })
    }

    /// Does something with the thread's own rights to files.
    pub(super) fn as_itself<T>(&self, look: impl FnOnce() -> T) -> T {
        if self.identity.uid == 0 {
            return look();
        }
        let groups: Vec<Gid> = self.identity.groups.iter().map(|&group| Gid::from_raw(group)).collect();
        let own = rustix::process::getgroups().unwrap_or_default();
        // Where there is one id, groups cannot change, and there is nobody else to be.
        let _ = rustix::thread::set_thread_groups(&groups);
        trace::look_for_files_as(self.identity.uid, self.identity.gid);
        let seen = look();
        trace::look_for_files_as(0, 0);
        let _ = rustix::thread::set_thread_groups(&own);
        seen
    }

    /// Whether the thread finds this file at a path of its root.
    pub(super) fn sees(&self, path: &[u8], id: (u64, u64)) -> bool {
        self.as_itself(|| self.stand.open(From::Cwd, path, true).is_ok_and(|found| emulators::is_file(&found, id)))
    }

    fn may_execute(&self, file: &OwnedFd) -> bool {
        self.may(file, Access::EXEC_OK)
    }

    fn may(&self, file: &OwnedFd, access: Access) -> bool {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        self.as_itself(|| rustix::fs::accessat(CWD, path.as_str(), access, AtFlags::EACCESS).is_ok())
    }
}

impl Identity {
    /// Reads a `/proc/ID/status`.
    fn read(status: &str) -> Self {
        let numbers = |key: &str| -> Vec<u32> {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap_or_default().split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let (uids, gids) = (numbers("Uid:"), numbers("Gid:"));
        let last = |list: &[u32]| list.last().copied().unwrap_or_default();
        Self {
            uid: last(&uids),
            gid: last(&gids),
            groups: numbers("Groups:"),
            one_uid: uids.windows(2).all(|pair| pair[0] == pair[1]),
            process: last(&numbers("NStgid:")),
            thread: last(&numbers("NSpid:")),
        }
    }
}

/// What an execution names.
struct Named {
    /// As messages and scripts get it.
    name: Vec<u8>,
    file: OwnedFd,
    /// The name leads through a descriptor, and may lead nowhere after the execution.
    by_descriptor: bool,
}

/// Judges an execution. Errors of the memory are the kernel's to tell: then it passes.
pub(super) fn judge(
    thread: &Thread,
    registers: &Registers,
    architecture: &Architecture,
    emulators: &Emulators,
) -> io::Result<Verdict> {
    let at = registers.call() == trace::EXECVEAT;
    let shift = usize::from(at);
    let Some(mut named) = name(thread, registers, at)? else { return Ok(Verdict::Pass) };
    let mut leading: Option<Vec<Vec<u8>>> = None;
    let (mut scripts, mut selves) = (0, 0);
    loop {
        let status = rustix::fs::fstat(&named.file)?;
        if !FileType::from_raw_mode(status.st_mode).is_file() || !thread.may_execute(&named.file) {
            return Ok(Verdict::Pass);
        }
        if emulators.holds(&status) {
            // The program means itself, and the kernel would execute what runs it.
            selves += 1;
            match own_program(thread) {
                Some(program) if selves < SELF_MAX => match open(thread, &program)? {
                    Some(file) => named = Named { name: program, file, by_descriptor: false },
                    None => return Ok(Verdict::Pass),
                },
                _ => return Ok(Verdict::Pass),
            }
            continue;
        }
        let file = reopen(&named.file)?;
        match script::judge(&head(&file)?, architecture) {
            Kind::Other => return Ok(Verdict::Pass),
            Kind::Foreign => {
                let rights = thread.gains(emulators::rights_of(&file, &status)?);
                if rights.uid != Some(0) && !thread.may(&named.file, Access::READ_OK) {
                    // The emulator would have to read it with the same rights.
                    return Ok(Verdict::Refuse(libc::EACCES));
                }
                let arguments = match thread.memory.pointers(registers.argument(1 + shift)) {
                    Ok(arguments) => arguments,
                    Err(error) if error.raw_os_error() == Some(libc::E2BIG) => return Ok(Verdict::Refuse(libc::E2BIG)),
                    Err(_) => return Ok(Verdict::Pass),
                };
                let program = program_path(thread, &named);
                return Ok(Verdict::Emulate(Emulation {
                    rights,
                    program,
                    words: words(leading, &arguments),
                    environment: registers.argument(2 + shift),
                }));
            }
            Kind::Script(line) => {
                scripts += 1;
                if scripts > SCRIPTS_MAX {
                    return Ok(Verdict::Pass);
                }
                let Some(file) = open(thread, &line.interpreter)? else { return Ok(Verdict::Pass) };
                let mut list = vec![line.interpreter.clone()];
                list.extend(line.argument);
                list.push(named.name);
                list.extend(leading.into_iter().flatten().skip(1));
                leading = Some(list);
                named = Named { name: line.interpreter, file, by_descriptor: false };
            }
        }
    }
}

/// The words of the program: its scripts' in place of its name, where there are scripts.
fn words(leading: Option<Vec<Vec<u8>>>, arguments: &[u64]) -> Vec<Word> {
    let given = arguments.iter().map(|&address| Word::At(address));
    match leading {
        None => given.collect(),
        Some(leading) => leading.into_iter().map(Word::Text).chain(given.skip(1)).collect(),
    }
}

impl Thread {
    /// Rights that the thread does not have already.
    fn gains(&self, rights: Rights) -> Rights {
        let only_root = rights.uid == Some(0) && rights.gid.is_none() && rights.capabilities.is_empty();
        if only_root && self.identity.uid == 0 && self.identity.one_uid { Rights::default() } else { rights }
    }
}

/// What the call names; `None` when the kernel will fail to find it, too.
fn name(thread: &Thread, registers: &Registers, at: bool) -> io::Result<Option<Named>> {
    let Ok(path) = thread.memory.path(registers.argument(usize::from(at))) else { return Ok(None) };
    if !at {
        let by_descriptor = path.starts_with(b"/proc/") || path.starts_with(b"/dev/fd/");
        return Ok(open(thread, &path)?.map(|file| Named { name: path, file, by_descriptor }));
    }
    let number = registers.argument(0) as i32;
    let flags = registers.argument(4);
    let follow = flags & u64::from(libc::AT_SYMLINK_NOFOLLOW.cast_unsigned()) == 0;
    if path.starts_with(b"/") || number == libc::AT_FDCWD {
        let found = thread.as_itself(|| thread.stand.open(From::Cwd, &path, follow));
        return Ok(found.ok().map(|file| Named { name: path, file, by_descriptor: false }));
    }
    let place = thread.directory.join(format!("fd/{number}"));
    let Ok(base) = rustix::fs::open(&place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return Ok(None) };
    let mut name = format!("/dev/fd/{number}").into_bytes();
    if path.is_empty() {
        let by_itself = flags & u64::from(libc::AT_EMPTY_PATH.cast_unsigned()) != 0;
        return Ok(by_itself.then_some(Named { name, file: base, by_descriptor: true }));
    }
    let found = thread.as_itself(|| thread.stand.open(From::Directory(base.as_fd()), &path, follow));
    name.push(b'/');
    name.extend(path);
    Ok(found.ok().map(|file| Named { name, file, by_descriptor: true }))
}

fn open(thread: &Thread, path: &[u8]) -> io::Result<Option<OwnedFd>> {
    Ok(thread.as_itself(|| thread.stand.open(From::Cwd, path, true)).ok())
}

/// Opens a mere place for reading, with our own rights: executing needs no right to read.
fn reopen(place: &OwnedFd) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

fn head(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD_BYTES];
    let mut filled = 0;
    while filled < head.len() {
        match file.read_at(&mut head[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    head.truncate(filled);
    Ok(head)
}

/// The path the emulator opens and tells the program as its own: absolute, so that a change of directory does not hide it.
fn program_path(thread: &Thread, named: &Named) -> Vec<u8> {
    if named.by_descriptor {
        // The descriptor may be closed by the execution; a file without a name has only that.
        return thread.stand.path_of(named.file.as_fd()).unwrap_or_else(|| named.name.clone());
    }
    if named.name.starts_with(b"/") {
        return named.name.clone();
    }
    let Some(mut path) = thread.stand.cwd_path() else { return named.name.clone() };
    if path != b"/" {
        path.push(b'/');
    }
    path.extend(named.name.strip_prefix(b"./").unwrap_or(&named.name));
    path
}

/// What an emulated process runs: the fourth word of its emulator.
fn own_program(thread: &Thread) -> Option<Vec<u8>> {
    let line = fs_err::read(thread.directory.join("cmdline")).ok()?;
    let mut words = line.split(|&byte| byte == 0);
    words.next()?;
    (words.next()? == b"-0").then(|| words.nth(1).map(<[u8]>::to_vec)).flatten()
}

/// The directory of a thread in a /proc.
pub(super) fn directory_of(proc: &Path, thread: rustix::process::Pid) -> PathBuf {
    proc.join(thread.as_raw_nonzero().get().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_read() {
        let status =
            "Name:\tsh\nNStgid:\t40\t7\nNSpid:\t41\t8\nUid:\t1000\t1000\t1000\t0\nGid:\t5\t5\t5\t6\nGroups:\t5 10 \n";
        let wanted = Identity { uid: 0, gid: 6, groups: vec![5, 10], one_uid: false, process: 7, thread: 8 };
        assert_eq!(Identity::read(status), wanted);
        assert_eq!(Identity::read(""), Identity { one_uid: true, ..Identity::default() });
    }

    #[test]
    fn words_are_those_linux_makes() {
        let emulation =
            |words| Emulation { rights: Rights::default(), program: b"/bin/sh".to_vec(), words, environment: 0 };
        let text = |text: &str| Word::Text(text.as_bytes().to_vec());
        let direct = emulation(words(None, &[1, 2]));
        assert_eq!(direct.words(b"/q"), [text("/q"), text("-0"), Word::At(1), text("/bin/sh"), Word::At(2)]);
        let without_name = emulation(words(None, &[]));
        assert_eq!(without_name.words(b"/q"), [text("/q"), text("-0"), text(""), text("/bin/sh")]);
        let leading = ["/bin/sh", "-e", "./script"].map(|word| word.as_bytes().to_vec()).to_vec();
        let script = emulation(words(Some(leading), &[1, 2]));
        let wanted =
            [text("/q"), text("-0"), text("/bin/sh"), text("/bin/sh"), text("-e"), text("./script"), Word::At(2)];
        assert_eq!(script.words(b"/q"), wanted);
    }
}
