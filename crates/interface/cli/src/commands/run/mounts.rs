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

/// `HOST:CONTAINER[:OPTION,…]`; `None` for a volume without a name, which is the container's own layer here.
pub fn volume(text: &str) -> Result<Option<SandboxMount>, CliError> {
    let bad = |why: &str| CliError::Usage(format!("invalid volume {text:?}: {why}; write HOST:CONTAINER[:ro]"));
    let mut parts = text.split(':');
    let (first, dest) = (parts.next().unwrap_or_default(), parts.next());
    let Some(dest) = dest else {
        return if first.starts_with('/') { Ok(None) } else { Err(bad("it has no colon")) };
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
    bind(first, dest, readonly, &bad).map(Some)
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
pub fn mount(text: &str) -> Result<SandboxMount, CliError> {
    let bad = |why: &str| CliError::Usage(format!("invalid argument {text:?} for --mount: {why}"));
    let (mut kind, mut source, mut target, mut readonly, mut size) = ("volume", "", "", false, 0);
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
                    _ => return Err(bad("readonly takes true or false")),
                }
            }
            "tmpfs-size" => size = bytes(value).ok_or_else(|| bad("tmpfs-size is no size"))?,
            "bind-propagation" | "consistency" | "bind-nonrecursive" | "bind-recursive" | "tmpfs-mode" => {}
            _ => return Err(bad(&format!("unexpected key {key:?}"))),
        }
    }
    if target.is_empty() {
        return Err(bad("target is required"));
    }
    match kind {
        "bind" if source.is_empty() => Err(bad("source is required for type=bind")),
        "bind" => bind(source, target, readonly, &bad),
        "tmpfs" if !source.is_empty() => Err(bad("type=tmpfs takes no source")),
        "tmpfs" => tmpfs_at(target, size, readonly, &bad),
        "volume" => Err(bad("volumes are not supported; use type=bind with a directory of the host, or type=tmpfs")),
        _ => Err(bad(&format!("unknown type {kind:?}"))),
    }
}

/// `PATH[:OPTION,…]`
pub fn tmpfs(text: &str) -> Result<SandboxMount, CliError> {
    let bad = |why: &str| CliError::Usage(format!("invalid argument {text:?} for --tmpfs: {why}"));
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    let mut size = 0;
    for option in options.split(',') {
        if let Some(text) = option.strip_prefix("size=") {
            size = bytes(text).ok_or_else(|| bad("size is no size"))?;
        }
    }
    tmpfs_at(path, size, options.split(',').any(|option| option == "ro"), &bad)
}

fn tmpfs_at(
    dest: &str,
    size_bytes: u64,
    readonly: bool,
    bad: &dyn Fn(&str) -> CliError,
) -> Result<SandboxMount, CliError> {
    if !dest.starts_with('/') {
        return Err(bad("the container's path must be absolute"));
    }
    Ok(SandboxMount {
        dest: dest.to_owned(),
        readonly,
        source: MountSource::Tmpfs(Memory { size_bytes, mode: Some(0o1777), exec: false }),
    })
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

    #[test]
    fn volumes_as_docker_takes_them() {
        let one = volume("/etc:/x:ro,z").unwrap().unwrap();
        assert_eq!((one.dest.as_str(), one.readonly), ("/x", true));
        assert_eq!(volume("/only/inside").unwrap(), None);
        for (text, why) in [
            ("name:/x", "named volumes"),
            ("/nowhere/at/all:/x", "does not exist"),
            ("/etc:x", "absolute"),
            ("/etc:/x:what", "unknown option"),
            ("/etc:/x:ro:more", "too many"),
            (":/x", "empty"),
            ("word", "no colon"),
        ] {
            let error = volume(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn mounts_in_words() {
        let one = mount("type=bind,src=/etc,dst=/x,readonly").unwrap();
        assert!(one.readonly && one.dest == "/x");
        let one = mount("type=tmpfs,target=/t,tmpfs-size=1m").unwrap();
        assert!(matches!(one.source, MountSource::Tmpfs(Memory { size_bytes: 1_048_576, .. })));
        for text in [
            "type=bind,target=/x",
            "type=bind,src=/etc",
            "src=v,dst=/x",
            "type=npipe,dst=/x",
            "type=bind,src=/etc,dst=/x,what=1",
        ] {
            assert!(mount(text).is_err(), "{text}");
        }
    }

    #[test]
    fn devices_and_tmpfs() {
        assert_eq!(device("/dev/null:/dev/other:rwm").unwrap().dest, "/dev/other");
        assert_eq!(device("/dev/null").unwrap().dest, "/dev/null");
        assert!(matches!(
            tmpfs("/t:size=2k,exec").unwrap().source,
            MountSource::Tmpfs(Memory { size_bytes: 2048, .. })
        ));
        assert!(tmpfs("t").is_err());
    }
}
