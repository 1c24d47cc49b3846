//! In: a container. Out: what `inspect` says of it, under Docker's keys. Never: a key whose value is not known here.

use crossdock_build::Engine;
use crossdock_containers::Container;
use crossdock_executor::sandbox::MountSource;
use crossdock_llb::{Network, Security};
use crossdock_oci::Timestamp;
use serde_json::{Value, json};

use super::merged;
use super::ps::status_word;

/// What Docker writes for a time that was not.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The document of a container; `with_size`: with the bytes it has written.
pub fn container(engine: &Engine, container: &Container, with_size: bool) -> Value {
    let (config, state) = (&container.config, &container.state);
    // Kept as long as the container; of a damaged store the rest is still worth showing.
    let image = engine.config_to_run(&config.image).map(|image| image.view.config).unwrap_or_default();
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
            "NetworkMode": network_name(request.network),
            "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 },
            "AutoRemove": config.auto_remove,
            "Privileged": request.security == Security::Insecure,
            "ReadonlyRootfs": request.readonly,
            "ShmSize": request.shm_size_bytes,
        },
        "Mounts": mounts,
        "Config": merged::config(config, &image),
        "NetworkSettings": network_settings(request.network),
        "ImageManifestDescriptor": config.image.manifest,
    });
    if with_size {
        document["SizeRw"] = container.written_bytes().into();
    }
    document
}

fn network_name(network: Network) -> &'static str {
    if network == Network::None { "none" } else { "host" }
}

/// What Docker says of a container that has no network of its own: no address.
fn network_settings(network: Network) -> Value {
    let addresses = json!({
        "MacAddress": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
    });
    let mut settings = addresses.clone();
    let mut inner = addresses;
    inner["Aliases"] = Value::Null;
    settings["Ports"] = json!({});
    settings["Networks"] = json!({ network_name(network): inner });
    settings
}
