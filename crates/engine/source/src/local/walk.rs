//! In: a directory and a filter. Out: one record for every name that belongs to the context. Never: a file opened, a link followed.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crossdock_snapshot::RootedPath;
use rustix::fd::{AsFd as _, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, StatxFlags};
use rustix::io::Errno;

use super::error::ContextError;
use super::filter::{Filter, Inherited};
use super::record::{Kind, Record};

/// One call of getdents returns at most this much.
const NAMES_BUFFER_BYTES: usize = 32 << 10;
const WANTED: StatxFlags = StatxFlags::BASIC_STATS;

/// A directory of the context.
#[derive(Debug)]
pub(super) struct Dir {
    pub path: RootedPath,
    /// Sorted by name.
    pub records: Vec<Record>,
    /// Only there if something in it is.
    hidden: bool,
}

/// All directories of the context, in path order, and where to find them.
#[derive(Debug)]
pub(super) struct Walked {
    pub dirs: Vec<Dir>,
    pub index: HashMap<RootedPath, usize>,
}

struct Job {
    path: RootedPath,
    inherited: Inherited,
    hidden: bool,
}

/// The directories still to be read, and how many threads are at it.
struct Queue {
    jobs: Vec<Job>,
    busy: usize,
    failed: Option<ContextError>,
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    root_path: &'a Path,
    filter: &'a Filter,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// Looks at everything the filter lets through.
///
/// # Errors
/// `Unreadable`, `Path`.
pub(super) fn walk(root: &OwnedFd, root_path: &Path, filter: &Filter, threads: usize) -> Result<Walked, ContextError> {
    let first = Job { path: RootedPath::root(), inherited: Inherited::default(), hidden: false };
    let walk = Walk {
        root: root.as_fd(),
        root_path,
        filter,
        queue: Mutex::new(Queue { jobs: vec![first], busy: 0, failed: None }),
        changed: Condvar::new(),
    };
    let mut dirs = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(|| walk.work())).collect();
        let mut dirs = walk.work();
        for other in others {
            dirs.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        dirs
    });
    if let Some(error) = walk.queue.into_inner().unwrap_or_else(PoisonError::into_inner).failed {
        return Err(error);
    }
    dirs.sort_by(|left, right| left.path.cmp(&right.path));
    if !filter.shows_all() {
        drop_empty(&mut dirs);
    }
    let index = dirs.iter().enumerate().map(|(number, dir)| (dir.path.clone(), number)).collect();
    Ok(Walked { dirs, index })
}

impl Walk<'_> {
    fn work(&self) -> Vec<Dir> {
        let mut dirs = Vec::new();
        let mut buffer = vec![MaybeUninit::uninit(); NAMES_BUFFER_BYTES];
        while let Some(job) = self.take() {
            let mut found = Vec::new();
            let result = self.read(&job, &mut buffer, &mut found);
            let mut queue = self.lock();
            queue.busy -= 1;
            match result {
                Ok(records) => {
                    queue.jobs.append(&mut found);
                    dirs.push(Dir { path: job.path, records, hidden: job.hidden });
                }
                Err(error) => queue.failed = queue.failed.take().or(Some(error)),
            }
            drop(queue);
            self.changed.notify_all();
        }
        dirs
    }

    /// The next directory; none when all are read or one failed.
    fn take(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if queue.failed.is_some() {
                return None;
            }
            if let Some(job) = queue.jobs.pop() {
                queue.busy += 1;
                return Some(job);
            }
            if queue.busy == 0 {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(
        &self,
        job: &Job,
        buffer: &mut [MaybeUninit<u8>],
        found: &mut Vec<Job>,
    ) -> Result<Vec<Record>, ContextError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = match rustix::fs::openat(self.root, job.path.as_path(), flags, Mode::empty()) {
            Ok(dir) => dir,
            // It went away, or it is hidden and might only have held something that is not.
            Err(Errno::NOENT | Errno::NOTDIR) if !job.path.is_root() => return Ok(Vec::new()),
            Err(Errno::ACCESS) if job.hidden => return Ok(Vec::new()),
            Err(errno) => return Err(self.unreadable(&job.path, errno)),
        };
        let mut records = Vec::new();
        let mut names = RawDir::new(&dir, buffer);
        while let Some(name) = names.next() {
            let name = name.map_err(|errno| self.unreadable(&job.path, errno))?;
            let bytes = name.file_name().to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            let path = job
                .path
                .join(bytes)
                .map_err(|source| ContextError::Path { root: self.root_path.to_path_buf(), source })?;
            self.name(&dir, job, path, bytes, name.file_type(), &mut records, found)?;
        }
        records.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(records)
    }

    #[expect(clippy::too_many_arguments, reason = "one name with what its directory knows")]
    fn name(
        &self,
        dir: &OwnedFd,
        job: &Job,
        path: RootedPath,
        name: &[u8],
        guess: FileType,
        records: &mut Vec<Record>,
        found: &mut Vec<Job>,
    ) -> Result<(), ContextError> {
        let mut verdict = None;
        if !self.filter.shows_all() && guess != FileType::Unknown {
            let answer = self.filter.judge(&job.inherited, path.as_bytes(), guess == FileType::Directory);
            if answer.hidden && (guess != FileType::Directory || answer.hidden_below) {
                return Ok(());
            }
            verdict = Some(answer);
        }
        let stat = match rustix::fs::statx(dir, name, AtFlags::SYMLINK_NOFOLLOW, WANTED) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(self.unreadable(&path, errno)),
        };
        let Some(mut kind) = Record::kind_of(&stat) else { return Ok(()) };
        let is_dir = kind == Kind::Dir;
        let verdict = verdict.unwrap_or_else(|| self.filter.judge(&job.inherited, path.as_bytes(), is_dir));
        if verdict.hidden && (!is_dir || verdict.hidden_below) {
            return Ok(());
        }
        if let Kind::Symlink(target) = &mut kind {
            match rustix::fs::readlinkat(dir, name, Vec::new()) {
                Ok(text) => *target = text.into_bytes(),
                Err(Errno::NOENT | Errno::INVAL) => return Ok(()),
                Err(errno) => return Err(self.unreadable(&path, errno)),
            }
        }
        records.push(Record::new(name, kind, &stat));
        if is_dir {
            found.push(Job { path, inherited: verdict.below, hidden: verdict.hidden });
        }
        Ok(())
    }

    fn unreadable(&self, path: &RootedPath, errno: Errno) -> ContextError {
        let source = io::Error::from_raw_os_error(errno.raw_os_error());
        ContextError::Unreadable { root: self.root_path.to_path_buf(), path: path.clone(), source }
    }
}

/// Hidden directories in which nothing belongs to the context are not part of it.
fn drop_empty(dirs: &mut Vec<Dir>) {
    let mut kept: Vec<Dir> = Vec::with_capacity(dirs.len());
    let mut gone: HashMap<RootedPath, Vec<Box<[u8]>>> = HashMap::new();
    // From the end: what is beneath a directory comes before it.
    while let Some(mut dir) = dirs.pop() {
        if let Some(names) = gone.remove(&dir.path) {
            dir.records.retain(|record| record.kind != Kind::Dir || !names.contains(&record.name));
        }
        match (dir.path.parent(), dir.path.file_name()) {
            (Some(parent), Some(name)) if dir.hidden && dir.records.is_empty() => {
                gone.entry(parent).or_default().push(name.into());
            }
            _ => kept.push(dir),
        }
    }
    kept.reverse();
    *dirs = kept;
}
