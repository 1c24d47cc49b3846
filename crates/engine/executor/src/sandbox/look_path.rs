//! In: a program's name, PATH. Out: the file to execute, or why there is none, in the words of Go's os/exec. Never: an execution.

use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::error::ExecFailure;

/// Finds a program as the process itself would: bare names along PATH, others as they are.
pub(super) fn find(name: &str, path: &str) -> Result<String, ExecFailure> {
    if name.contains('/') {
        return check(name).map(|()| name.to_owned());
    }
    if name.is_empty() {
        return Err(ExecFailure::NotInPath);
    }
    let directories = path.split(':').map(|directory| if directory.is_empty() { "." } else { directory });
    directories
        .map(|directory| format!("{}/{name}", directory.trim_end_matches('/')))
        .find(|file| check(file).is_ok())
        .ok_or(ExecFailure::NotInPath)
}

fn check(file: &str) -> Result<(), ExecFailure> {
    let status =
        rustix::fs::stat(Path::new(file)).map_err(|error| ExecFailure::Stat { errno: error.raw_os_error() })?;
    if rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir() {
        return Err(ExecFailure::IsDirectory);
    }
    if Mode::from_raw_mode(status.st_mode).intersects(Mode::XUSR | Mode::XGRP | Mode::XOTH) {
        Ok(())
    } else {
        Err(ExecFailure::NotExecutable)
    }
}

/// The loader or interpreter a program needs, when it is missing: then "no such file" is about that.
pub(super) fn missing_interpreter(file: &str) -> Option<String> {
    let descriptor = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut head = [0; 256];
    let count = rustix::io::read(&descriptor, &mut head).ok()?;
    let line = head[..count].strip_prefix(b"#!")?.split(|&byte| byte == b'\n').next()?;
    let text = String::from_utf8_lossy(line);
    let interpreter = text.split_whitespace().next()?;
    (!Path::new(interpreter).exists()).then(|| interpreter.to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn names_are_found_along_the_path_and_refusals_have_reasons() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_str().unwrap();
        let write = |name: &str, mode: u32| {
            fs_err::write(directory.path().join(name), "#!/nowhere/sh\n").unwrap();
            fs_err::set_permissions(directory.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("yes", 0o755);
        write("no", 0o644);
        let path = format!("/nowhere:{root}/");
        assert_eq!(find("yes", &path), Ok(format!("{root}/yes")));
        assert_eq!(find("no", &path), Err(ExecFailure::NotInPath));
        assert_eq!(find("", &path), Err(ExecFailure::NotInPath));
        assert_eq!(find(&format!("{root}/no"), ""), Err(ExecFailure::NotExecutable));
        assert_eq!(find(root, ""), Err(ExecFailure::IsDirectory));
        assert_eq!(find("/nowhere/x", ""), Err(ExecFailure::Stat { errno: libc::ENOENT }));
        assert_eq!(missing_interpreter(&format!("{root}/yes")), Some("/nowhere/sh".to_owned()));
    }
}
