//! In: `-v`, `--mount`, `--tmpfs`, `--device`. Out: mounts of a container. Never: a host path that does not exist taken for a new one.

use std::path::Path;

use crossdock_executor::HostPath;
use crossdock_executor::sandbox::{Memory, MountSource, SandboxMount};

use super::options::bytes;
use crate::error::CliError;

/// Words behind the second colon of `-v` that mean nothing here: labels, propagation, caching.
const WITHOUT_EFFECT: [&str; 13] = [
    "rw",
    "z",
    "Z",
    "cached",
    "consistent",
    "delegated",
    "nocopy",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
];

/// What a flag shows.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Mount(SandboxMount),
    /// A volume without a name: a directory of the container's own, with what the image has there.
    Own(String),
}

/// `HOST:CONTAINER[:OPTION,…]`, or `CONTAINER` for a volume without a name.
pub fn volume(text: &str) -> Result<Shown, CliError> {
    let bad = |why: &str| CliError::Usage(format!("invalid volume {text:?}: {why}; write HOST:CONTAINER[:ro]"));
    let mut parts = text.split(':');
    let (first, dest) = (parts.next().unwrap_or_default(), parts.next());
    let Some(dest) = dest else {
        return if first.starts_with('/') { own(first, &bad) } else { Err(bad("it has no colon")) };
    };
    let mut readonly = false;
    for option in parts.next().unwrap_or_default().split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" | "readonly" => readonly = true,
            known if WITHOUT_EFFECT.contains(&known) => {}
            _ => return Err(bad("unknown option")),
        }
    }
    if parts.next().is_some() {
        return Err(bad("it has too many colons"));
    }
    bind(first, dest, readonly, &bad).map(Shown::Mount)
}

fn own(dest: &str, bad: &dyn Fn(&str) -> CliError) -> Result<Shown, CliError> {
    if dest.trim_end_matches('/').is_empty() {
        return Err(bad("the destination can't be '/'"));
    }
    Ok(Shown::Own(dest.to_owned()))
}

fn bind(host: &str, dest: &str, readonly: bool, bad: &dyn Fn(&str) -> CliError) -> Result<SandboxMount, CliError> {
    if !dest.starts_with('/') {
        return Err(bad("the container's path must be absolute"));
    }
    if host.is_empty() {
        return Err(bad("the host's path is empty"));
    }
    let path = fs_err::canonicalize(Path::new(host)).map_err(|_| {
        if host.contains('/') || host == "." || host == ".." {
            bad("the host's path does not exist")
        } else {
            bad("the host's path does not exist, and named volumes are not supported")
        }
    })?;
    Ok(SandboxMount { dest: dest.to_owned(), readonly, source: MountSource::Host(HostPath::from(path)) })
}

/// `type=bind,source=…,target=…,readonly`
pub fn mount(text: &str) -> Result<Shown, CliError> {
    let wrong = |why: &str| CliError::Usage(format!("invalid argument {text:?} for \"--mount\" flag: {why}"));
    let (mut kind, mut source, mut target, mut readonly) = ("volume", "", "", false);
    let mut options = Vec::new();
    for field in text.split(',').filter(|field| !field.is_empty()) {
        let (key, value) = field.split_once('=').unwrap_or((field, ""));
        match key.to_ascii_lowercase().as_str() {
            "type" => kind = value,
            "source" | "src" => source = value,
            "target" | "dst" | "destination" => target = value,
            "readonly" | "ro" => {
                readonly = match value {
                    "" | "true" | "1" => true,
                    "false" | "0" => false,
                    _ => return Err(wrong("readonly takes true or false")),
                }
            }
            "tmpfs-size" => match bytes(value) {
                Some(size) => options.push(format!("size={size}")),
                None => return Err(wrong(&format!("invalid value for tmpfs-size: {value}"))),
            },
            "tmpfs-mode" => match u32::from_str_radix(value, 8) {
                Ok(mode) => options.push(format!("mode={mode:o}")),
                Err(_) => return Err(wrong(&format!("invalid value for tmpfs-mode: {value}"))),
            },
            "bind-propagation" | "consistency" | "bind-nonrecursive" | "bind-recursive" | "volume-nocopy" => {}
            _ => return Err(wrong(&format!("unexpected key {key:?}"))),
        }
    }
    if target.is_empty() {
        return Err(wrong("target is required"));
    }
    match kind {
        "bind" if source.is_empty() => Err(wrong("source is required for type=bind")),
        "bind" => bind(source, target, readonly, &wrong).map(Shown::Mount),
        "tmpfs" if !source.is_empty() => Err(wrong("type=tmpfs takes no source")),
        "tmpfs" => {
            absolute(target)?;
            let source = MountSource::Tmpfs(Memory { options: options.join(","), ..Memory::default() });
            Ok(Shown::Mount(SandboxMount { dest: target.to_owned(), readonly, source }))
        }
        "volume" if source.is_empty() => {
            absolute(target)?;
            own(target, &wrong)
        }
        "volume" => {
            Err(wrong("named volumes are not supported; use type=bind with a directory of the host, or type=tmpfs"))
        }
        _ => Err(wrong(&format!("unknown type {kind:?}"))),
    }
}

fn absolute(dest: &str) -> Result<(), CliError> {
    if dest.starts_with('/') {
        return Ok(());
    }
    Err(CliError::Usage(format!("invalid mount path: '{dest}' mount path must be absolute")))
}

/// Options of `--tmpfs` that are a tmpfs's own.
const TMPFS_VALUES: [&str; 7] = ["mode", "size", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
/// Options of `--tmpfs` that make no difference to a program.
const TMPFS_WITHOUT_EFFECT: [&str; 12] = [
    "defaults",
    "rw",
    "sync",
    "async",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
];

/// `PATH[:OPTION,…]`
pub fn tmpfs(text: &str) -> Result<SandboxMount, CliError> {
    let (path, words) = text.split_once(':').unwrap_or((text, ""));
    let (mut readonly, mut suid, mut dev, mut exec) = (false, false, false, false);
    let mut options: Vec<&str> = Vec::new();
    for word in words.split(',').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("ro", None) => readonly = true,
            ("suid" | "nosuid", None) => suid = name == "suid",
            ("dev" | "nodev", None) => dev = name == "dev",
            ("exec" | "noexec", None) => exec = name == "exec",
            (name, None) if TMPFS_WITHOUT_EFFECT.contains(&name) => readonly &= name != "rw",
            (name, Some(_)) if TMPFS_VALUES.contains(&name) => options.push(word),
            _ => return Err(CliError::Usage(format!("invalid tmpfs option {name:?}"))),
        }
    }
    absolute(path)?;
    let source = MountSource::Tmpfs(Memory { options: options.join(","), suid, dev, exec });
    Ok(SandboxMount { dest: path.to_owned(), readonly, source })
}

/// `HOST[:CONTAINER[:rwm]]`
pub fn device(text: &str) -> Result<SandboxMount, CliError> {
    let bad = |why: &str| CliError::Usage(format!("invalid argument {text:?} for --device: {why}"));
    let mut parts = text.split(':');
    let host = parts.next().unwrap_or_default();
    let dest = parts.next().filter(|dest| dest.starts_with('/')).unwrap_or(host);
    bind(host, dest, false, &bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(options: &str, exec: bool) -> MountSource {
        MountSource::Tmpfs(Memory { options: options.to_owned(), exec, ..Memory::default() })
    }

    #[test]
    fn volumes_as_docker_takes_them() {
        let Shown::Mount(one) = volume("/etc:/x:ro,z").unwrap() else { panic!() };
        assert_eq!((one.dest.as_str(), one.readonly), ("/x", true));
        assert_eq!(volume("/only/inside").unwrap(), Shown::Own("/only/inside".to_owned()));
        for (text, why) in [
            ("name:/x", "named volumes"),
            ("/nowhere/at/all:/x", "does not exist"),
            ("/etc:x", "absolute"),
            ("/etc:/x:what", "unknown option"),
            ("/etc:/x:ro:more", "too many"),
            (":/x", "empty"),
            ("word", "no colon"),
            ("/", "can't be '/'"),
        ] {
            let error = volume(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn mounts_in_words() {
        let Shown::Mount(one) = mount("type=bind,src=/etc,dst=/x,readonly").unwrap() else { panic!() };
        assert!(one.readonly && one.dest == "/x");
        let Shown::Mount(one) = mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=0700").unwrap() else { panic!() };
        assert_eq!(one.source, memory("size=1048576,mode=700", false));
        assert_eq!(mount("target=/v").unwrap(), Shown::Own("/v".to_owned()));
        for text in [
            "type=bind,target=/x",
            "type=bind,src=/etc",
            "src=v,dst=/x",
            "type=npipe,dst=/x",
            "type=bind,src=/etc,dst=/x,what=1",
            "type=tmpfs,dst=/x,tmpfs-mode=9",
            "type=tmpfs,dst=x",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices_and_tmpfs() {
        assert_eq!(device("/dev/null:/dev/other:rwm").unwrap().dest, "/dev/other");
        assert_eq!(device("/dev/null").unwrap().dest, "/dev/null");
        let one = tmpfs("/t:size=50%,ro,exec,noatime,mode=700").unwrap();
        assert_eq!((one.source, one.readonly), (memory("size=50%,mode=700", true), true));
        assert!(!tmpfs("/t:ro,rw").unwrap().readonly);
        assert!(tmpfs("t").unwrap_err().to_string().contains("must be absolute"));
        for text in ["/t:foo=1", "/t:foo", "/t:exec=1", "/t:mode"] {
            assert!(tmpfs(text).unwrap_err().to_string().contains("invalid tmpfs option"), "{text}");
        }
    }
}
