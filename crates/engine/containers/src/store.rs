//! In: the state directory. Out: its containers: made, found, listed, removed. Never: two containers of one name, a container removed while it runs.

use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crossdock_build::{Engine, PreparedImage};
use crossdock_content::Space;
use crossdock_executor::HostPath;
use crossdock_executor::keeper::Layers as Directories;
use crossdock_oci::Timestamp;
use rustix::fs::{FlockOperation, flock};

use crate::config::ContainerConfig;
use crate::state::{State, Status};
use crate::{ContainerError, control, id};

/// Directories whose names begin so are not finished, or not yet gone.
const HIDDEN: char = '.';
/// How long the end of a killed container is awaited.
pub(crate) const KILL_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a lock is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// SIGKILL.
pub(crate) const KILL: i32 = 9;
/// Names that are tried for a container without one.
const NAME_TRIES: u32 = 8;

/// The containers of a state directory.
#[derive(Clone)]
pub struct Containers {
    pub(crate) engine: Engine,
    root: PathBuf,
}

/// A container, as it was when it was looked at.
#[derive(Debug, Clone)]
pub struct Container {
    pub config: ContainerConfig,
    pub state: State,
    pub(crate) directory: PathBuf,
}

/// A held lock; it ends with the descriptor.
#[derive(Debug)]
pub(crate) struct Held(pub(crate) fs_err::File);

impl Containers {
    /// The containers of this engine's state directory.
    pub fn new(engine: &Engine) -> Self {
        Self { engine: engine.clone(), root: engine.store().root().join("containers") }
    }

    /// Makes a container; its id, its creation time and, when it is empty, its name are filled in.
    ///
    /// # Errors
    /// When the name is taken or not allowed, or the state directory cannot be written.
    pub fn create(&self, mut config: ContainerConfig, image: &PreparedImage) -> Result<Container, ContainerError> {
        if !config.name.is_empty() && !id::is_valid_name(&config.name) {
            return Err(ContainerError::BadName { name: config.name });
        }
        make_private(&self.root)?;
        let alone = self.root.join(".lock");
        let _alone = lock(&alone, FlockOperation::LockExclusive)?
            .ok_or_else(|| io_error(&alone, io::ErrorKind::WouldBlock.into()))?;
        self.sweep();
        let known = self.list()?;
        let random = |source| io_error(Path::new("/dev/urandom"), source);
        if config.name.is_empty() {
            for tries in 0..NAME_TRIES {
                config.name = id::new_name(tries).map_err(random)?;
                if known.iter().all(|other| other.config.name != config.name) {
                    break;
                }
            }
        }
        if let Some(other) = known.iter().find(|other| other.config.name == config.name) {
            return Err(ContainerError::NameTaken { name: config.name, id: other.config.id.clone() });
        }
        config.id = id::new_id().map_err(random)?;
        config.created = Timestamp::now();
        if config.request.hostname.is_empty() {
            config.request.hostname = config.short_id().to_owned();
        }
        let part = self.root.join(format!("{HIDDEN}new-{}", config.id));
        let made = self.fill(&part, &config, image);
        let directory = self.root.join(&config.id);
        let made = made.and_then(|()| fs_err::rename(&part, &directory).map_err(|source| io_error(&part, source)));
        if let Err(error) = made {
            let _ = self.engine.keeper().remove(&part, self.engine.stopping());
            let _ = self.engine.store().remove_row(Space::Container, &config.id);
            return Err(error);
        }
        Ok(Container { config, state: State::default(), directory })
    }

    fn fill(&self, part: &Path, config: &ContainerConfig, image: &PreparedImage) -> Result<(), ContainerError> {
        make_private(part)?;
        make_private(&part.join("rw"))?;
        self.engine.keeper().prepare(&part.join("rw"), self.engine.stopping())?;
        write_json(&part.join("config.json"), config)?;
        write_json(&part.join("state.json"), &State::default())?;
        self.engine.store().put_row(Space::Container, &config.id, config.image.name.as_bytes(), &image.links)?;
        Ok(())
    }

    /// Every container, the youngest first.
    ///
    /// # Errors
    /// When the directory cannot be read. A container whose files are damaged is left out.
    pub fn list(&self) -> Result<Vec<Container>, ContainerError> {
        let entries = match fs_err::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(io_error(&self.root, source)),
        };
        let mut list = Vec::new();
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(HIDDEN) {
                continue;
            }
            list.extend(read(entry.path()).ok());
        }
        list.sort_by_key(|container| std::cmp::Reverse((container.config.created, container.config.id.clone())));
        Ok(list)
    }

    /// The container a person means: its name, its id, or the first digits of that.
    ///
    /// # Errors
    /// When nothing or more than one is meant.
    pub fn find(&self, text: &str) -> Result<Container, ContainerError> {
        let list = self.list()?;
        let text = text.strip_prefix('/').unwrap_or(text);
        if let Some(found) = list.iter().find(|one| one.config.id == text || one.config.name == text) {
            return Ok(found.clone());
        }
        let is_hex = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut found: Vec<Container> =
            list.into_iter().filter(|one| is_hex && one.config.id.starts_with(text)).collect();
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(ContainerError::NotFound { name: text.to_owned() }),
            count => {
                let candidates = found.iter().map(|one| one.config.short_id()).collect::<Vec<_>>().join(", ");
                Err(ContainerError::Ambiguous { name: text.to_owned(), count, candidates })
            }
        }
    }

    /// Removes a container with all it wrote; with `force` a running one is killed first, and one that is gone is no failure.
    ///
    /// # Errors
    /// When it runs, or its files cannot be removed.
    pub fn remove(&self, container: &Container, force: bool) -> Result<(), ContainerError> {
        let name = || container.config.name.clone();
        let end = Instant::now() + KILL_TIMEOUT;
        let held = loop {
            let held = match container.try_lock() {
                // With its end it was removed, as it was to be.
                Err(error) if error.is_missing() && force => return Ok(()),
                Err(error) if error.is_missing() => return Err(container.not_found()),
                outcome => outcome?,
            };
            match held {
                Some(held) => break held,
                None if !force => return Err(ContainerError::Running { name: name(), action: "removing" }),
                None if Instant::now() > end => {
                    return Err(ContainerError::Running { name: name(), action: "removing" });
                }
                None => {
                    // Between lock and socket it may just be starting or ending.
                    let _ = container.signal(KILL);
                    std::thread::sleep(POLL);
                }
            }
        };
        let result = self.remove_files(container);
        drop(held);
        result
    }

    pub(crate) fn remove_files(&self, container: &Container) -> Result<(), ContainerError> {
        // Out of sight at once; what is left of it when this is killed goes with the next sweep.
        let gone = self.root.join(format!("{HIDDEN}gone-{}", container.config.id));
        match fs_err::rename(&container.directory, &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(io_error(&container.directory, source)),
            Ok(()) => {}
        }
        self.engine.store().remove_row(Space::Container, &container.config.id)?;
        Ok(self.engine.keeper().remove(&gone, self.engine.stopping())?)
    }

    /// Removes what killed processes left: containers that were to go with their end, half-made and half-removed ones,
    /// rows without a container. Called with the directory's lock held.
    fn sweep(&self) {
        let Ok(entries) = fs_err::read_dir(&self.root) else { return };
        let mut ids = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".new-") || name.starts_with(".gone-") {
                let _ = self.engine.keeper().remove(&entry.path(), self.engine.stopping());
            } else if !name.starts_with(HIDDEN) {
                ids.push(name);
            }
        }
        let Ok(list) = self.list() else { return };
        for container in list.iter().filter(|one| one.config.auto_remove && one.state.status == Status::Exited) {
            if let Ok(Some(_held)) = container.try_lock() {
                let _ = self.remove_files(container);
            }
        }
        let Ok(rows) = self.engine.store().scan(Space::Container) else { return };
        for (key, _) in rows.iter().filter(|(key, _)| !ids.contains(key)) {
            let _ = self.engine.store().remove_row(Space::Container, key);
        }
    }
}

impl Container {
    /// The container as it is now.
    ///
    /// # Errors
    /// When it is gone.
    pub fn again(&self) -> Result<Self, ContainerError> {
        read(self.directory.clone())
    }

    /// Its log.
    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Whether a process runs it.
    pub fn is_running(&self) -> bool {
        self.state.status == Status::Running
    }

    /// The layers it shows, lowest first: those of its image, and its own.
    pub(crate) fn layers(&self, image: &PreparedImage) -> Directories {
        let mut all = image.lowers.clone();
        all.0.push(HostPath::from(self.upper()));
        all
    }

    /// Bytes of the files in its writable layer; what cannot be looked into counts nothing.
    pub fn written_bytes(&self) -> u64 {
        bytes_below(&self.upper())
    }

    pub(crate) fn upper(&self) -> PathBuf {
        self.directory.join("rw/fs")
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.directory.join("rw/work")
    }

    /// Sends a signal to its first process.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal(&self, number: i32) -> Result<(), ContainerError> {
        control::signal(&self.directory, number).map_err(|source| self.control_error(source))
    }

    pub(crate) fn unpacking(&self) -> Result<control::Unpacking, ContainerError> {
        control::unpacking(&self.directory).map_err(|source| self.control_error(source))
    }

    fn control_error(&self, source: io::Error) -> ContainerError {
        match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                ContainerError::NotRunning { name: self.config.name.clone() }
            }
            _ => ContainerError::Control { name: self.config.name.clone(), source },
        }
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.directory.join("lock")
    }

    pub(crate) fn try_lock(&self) -> Result<Option<Held>, ContainerError> {
        lock(&self.lock_path(), FlockOperation::NonBlockingLockExclusive)
    }

    pub(crate) fn write_state(&self, state: &State) -> Result<(), ContainerError> {
        write_json(&self.directory.join("state.json"), state)
    }
}

fn read(directory: PathBuf) -> Result<Container, ContainerError> {
    let config: ContainerConfig = read_json(&directory.join("config.json"))?;
    // The lock first: who ends writes the state before he lets go of it.
    let held = is_held(&directory.join("lock"))?;
    let state: State = read_json(&directory.join("state.json"))?;
    Ok(Container { config, state: state.seen_with_lock(held), directory })
}

fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = fs_err::read_dir(directory) else { return 0 };
    let bytes = |entry: fs_err::DirEntry| match entry.metadata() {
        Ok(status) if status.is_dir() => bytes_below(&entry.path()),
        Ok(status) if status.is_file() => status.len(),
        _ => 0,
    };
    entries.flatten().map(bytes).sum()
}

fn is_held(path: &Path) -> Result<bool, ContainerError> {
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(io_error(path, source)),
    };
    match flock(file.as_fd(), FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(io_error(path, error.into())),
    }
}

/// Takes a lock; `None` when another process holds it. A look by [`is_held`] takes a moment, for which is waited.
fn lock(path: &Path, how: FlockOperation) -> Result<Option<Held>, ContainerError> {
    let file = fs_err::OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(|source| io_error(path, source))?;
    for _ in 0..5 {
        match rustix::io::retry_on_intr(|| flock(file.as_fd(), how)) {
            Ok(()) => return Ok(Some(Held(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => return Err(io_error(path, error.into())),
        }
    }
    Ok(None)
}

fn make_private(path: &Path) -> Result<(), ContainerError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| io_error(path, source))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ContainerError> {
    let bytes = fs_err::read(path).map_err(|source| io_error(path, source))?;
    serde_json::from_slice(&bytes).map_err(|source| {
        let name = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        ContainerError::Record { name, source }
    })
}

/// Writes beside the file and renames, so that a reader sees the old one or the new one.
fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), ContainerError> {
    let bytes = serde_json::to_vec(value).map_err(|error| io_error(path, error.into()))?;
    let part = path.with_extension("part");
    fs_err::write(&part, bytes).and_then(|()| fs_err::rename(&part, path)).map_err(|source| io_error(path, source))
}

pub(crate) fn io_error(path: &Path, source: io::Error) -> ContainerError {
    ContainerError::Io { path: path.display().to_string(), source }
}
