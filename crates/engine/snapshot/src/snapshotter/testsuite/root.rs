//! In: what a step of a test does. Out: the same done to a mounted tree, with times that do not depend on the clock. Never: part of a build.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

/// A mounted tree. Every method panics when the kernel refuses.
pub struct Root {
    path: PathBuf,
    /// The time everything gets that is touched.
    seconds: i64,
}

impl Root {
    /// The tree at `path`; what is touched gets the time `seconds`.
    pub fn new(path: &Path, seconds: i64) -> Self {
        Self { path: path.to_path_buf(), seconds }
    }

    /// The path of a name in the tree.
    pub fn at(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file, in place when it exists.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs_err::write(self.at(name), bytes).expect("write");
        self.settle(name);
    }

    /// Writes `head`, a hole of `hole_bytes`, `tail`.
    pub fn write_sparse(&self, name: &str, head: &[u8], hole_bytes: u64, tail: &[u8]) {
        use fs_err::os::unix::fs::FileExt as _;
        let file = fs_err::File::create(self.at(name)).expect("create");
        file.write_all_at(head, 0).expect("write");
        file.write_all_at(tail, head.len() as u64 + hole_bytes).expect("write");
        drop(file);
        self.settle(name);
    }

    /// Makes a directory.
    pub fn mkdir(&self, name: &str) {
        fs_err::create_dir(self.at(name)).expect("mkdir");
        self.chmod(name, 0o755);
    }

    /// Makes a symlink.
    pub fn symlink(&self, name: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.at(name)).expect("symlink");
        self.settle(name);
    }

    /// Gives a file another name.
    pub fn link(&self, from: &str, name: &str) {
        fs_err::hard_link(self.at(from), self.at(name)).expect("link");
        self.settle(name);
        self.settle(from);
    }

    /// Moves; what lies beneath keeps its times.
    pub fn rename(&self, from: &str, to: &str) {
        self.move_quietly(from, to);
        self.settle(from);
        self.settle(to);
    }

    fn move_quietly(&self, from: &str, to: &str) {
        match std::fs::rename(self.at(from), self.at(to)) {
            // A directory of lower layers cannot be renamed without redirect_dir: do what mv(1) does.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                let mode = fs_err::symlink_metadata(self.at(from)).expect("stat").permissions().mode();
                self.mkdir(to);
                for entry in fs_err::read_dir(self.at(from)).expect("list") {
                    let name = entry.expect("list").file_name();
                    let name = name.to_str().expect("test names are text");
                    self.move_quietly(&format!("{from}/{name}"), &format!("{to}/{name}"));
                }
                fs_err::remove_dir(self.at(from)).expect("rmdir");
                self.chmod(to, mode);
            }
            other => other.expect("rename"),
        }
    }

    /// Removes a file or a whole directory.
    pub fn remove(&self, name: &str) {
        let path = self.at(name);
        if fs_err::symlink_metadata(&path).expect("stat").is_dir() {
            fs_err::remove_dir_all(path).expect("remove directory");
        } else {
            fs_err::remove_file(path).expect("remove file");
        }
        self.settle(name);
    }

    /// Sets permission bits.
    pub fn chmod(&self, name: &str, mode: u32) {
        rustix::fs::chmod(self.at(name), Mode::from_raw_mode(mode)).expect("chmod");
        self.settle(name);
    }

    /// Sets the owner.
    pub fn chown(&self, name: &str, uid: u32, gid: u32) {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(CWD, self.at(name), uid, gid, AtFlags::SYMLINK_NOFOLLOW).expect("chown");
        self.settle(name);
    }

    /// Sets an attribute.
    pub fn set_xattr(&self, name: &str, attribute: &str, value: &[u8]) {
        rustix::fs::lsetxattr(self.at(name), attribute, value, XattrFlags::empty()).expect("set attribute");
        self.settle(name);
    }

    /// Makes a pipe, socket or device.
    pub fn mknod(&self, name: &str, kind: FileType, device: u64) {
        rustix::fs::mknodat(CWD, self.at(name), kind, Mode::from_raw_mode(0o644), device).expect("mknod");
        match kind {
            FileType::Socket => self.settle(name),
            _ => self.chmod(name, 0o644),
        }
    }

    /// Gives `name`, if it exists, and its directory the fixed time.
    pub fn settle(&self, name: &str) {
        self.set_time(name, self.seconds);
        if let Some(parent) = Path::new(name).parent() {
            let parent = parent.to_str().expect("test names are text");
            self.set_time(if parent.is_empty() { "." } else { parent }, self.seconds);
        }
    }

    /// Sets the time of `name`, if it exists.
    pub fn set_time(&self, name: &str, seconds: i64) {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        let path = self.at(name);
        match rustix::fs::utimensat(CWD, path.as_os_str().as_bytes(), &times, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => {}
            Err(error) => panic!("set time of {name}: {error}"),
        }
    }
}
