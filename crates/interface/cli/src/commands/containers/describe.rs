//! In: a container. Out: what `inspect` says of it, under Docker's keys. Never: a key whose value is not known here.

use crossdock_containers::Container;
use crossdock_executor::sandbox::MountSource;
use crossdock_llb::{Network, Security};
use crossdock_oci::Timestamp;
use serde_json::{Value, json};

use super::ps::status_word;

/// What Docker writes for a time that was not.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The document of a container; `with_size`: with the bytes it has written.
pub fn container(container: &Container, with_size: bool) -> Value {
    let (config, state) = (&container.config, &container.state);
    let time = |time: Option<Timestamp>| time.map_or_else(|| NEVER.to_owned(), |time| time.to_string());
    let request = &config.request;
    let mounts: Vec<Value> = request
        .mounts
        .iter()
        .map(|mount| {
            let (kind, source) = match &mount.source {
                MountSource::Host(path) => ("bind", path.to_string()),
                MountSource::Tmpfs(_) => ("tmpfs", String::new()),
                MountSource::Tree { .. } | MountSource::File { .. } => ("other", String::new()),
            };
            json!({ "Type": kind, "Source": source, "Destination": mount.dest, "Mode": "", "RW": !mount.readonly })
        })
        .collect();
    let mut document = json!({
        "Id": config.id,
        "Created": config.created.to_string(),
        "Path": config.command.first(),
        "Args": config.command.get(1..).unwrap_or_default(),
        "State": {
            "Status": status_word(container),
            "Running": container.is_running(),
            "Paused": false,
            "Restarting": false,
            "OOMKilled": false,
            "Dead": false,
            "Pid": if container.is_running() { state.pid } else { 0 },
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": time(state.started),
            "FinishedAt": time(state.finished),
        },
        "Image": config.image.target.digest,
        "Name": format!("/{}", config.name),
        "RestartCount": 0,
        "Driver": "overlay",
        "Platform": config.image.platform.as_ref().map_or("linux", |platform| platform.os.as_str()),
        "LogPath": container.log_path().display().to_string(),
        "HostConfig": {
            "Binds": config.binds,
            "NetworkMode": if request.network == Network::None { "none" } else { "host" },
            "AutoRemove": config.auto_remove,
            "Privileged": request.security == Security::Insecure,
            "ReadonlyRootfs": request.readonly,
            "ShmSize": request.shm_size_bytes,
        },
        "Mounts": mounts,
        "Config": {
            "Hostname": request.hostname,
            "User": request.user.clone().unwrap_or_default(),
            "Tty": request.terminal.is_some(),
            "OpenStdin": config.interactive,
            "Env": request.env,
            "Cmd": request.args,
            "Image": config.image_name,
            "WorkingDir": request.cwd.clone().unwrap_or_default(),
            "Entrypoint": request.entrypoint,
            "Labels": config.labels,
        },
        "ImageManifestDescriptor": config.image.manifest,
    });
    if with_size {
        document["SizeRw"] = container.written_bytes().into();
    }
    document
}
