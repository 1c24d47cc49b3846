//! In: what a container was asked to be, what its image says. Out: the two as one, under Docker's keys. Never: a word of the image that was overridden.

use std::collections::BTreeMap;

use crossdock_containers::ContainerConfig;
use crossdock_oci::ContainerConfig as ImageDefaults;
use serde_json::{Value, json};

use super::options;

/// `.Config` of a container. Without the image, what was asked for alone.
pub fn config(config: &ContainerConfig, image: &ImageDefaults) -> Value {
    let request = &config.request;
    let entrypoint: Vec<&String> = match &request.entrypoint {
        Some(word) => Some(word).filter(|word| !word.is_empty()).into_iter().collect(),
        None => image.entrypoint.iter().collect(),
    };
    let keeps_command = request.args.is_empty() && request.entrypoint.is_none();
    let command = if keeps_command { &image.cmd } else { &request.args };
    let mut volumes = image.volumes.clone();
    volumes.extend(request.volumes.iter().map(|path| (path.clone(), serde_json::Map::new())));
    let or_null = |value: Value, empty: bool| if empty { Value::Null } else { value };
    let mut merged = json!({
        "Hostname": request.hostname,
        "Domainname": "",
        "User": request.user.as_ref().unwrap_or(&image.user),
        "Tty": request.terminal.is_some(),
        "OpenStdin": config.interactive,
        "Env": env(&request.env, &image.env),
        "Cmd": or_null(json!(command), command.is_empty()),
        "Image": config.image_name,
        "Volumes": or_null(json!(volumes), volumes.is_empty()),
        "WorkingDir": request.cwd.as_ref().unwrap_or(&image.working_dir),
        "Entrypoint": or_null(json!(entrypoint), entrypoint.is_empty()),
        "OnBuild": null,
        "Labels": config.labels,
    });
    let ports = ports(&config.ports, image);
    let signal = stop_signal(config, image);
    let given = [
        ("ExposedPorts", (!ports.is_empty()).then(|| json!(ports))),
        ("Healthcheck", image.healthcheck.as_ref().map(|check| json!(check))),
        ("StopSignal", signal.map(Value::String)),
        ("Shell", (!image.shell.is_empty()).then(|| json!(image.shell))),
    ];
    for (key, value) in given {
        if let Some(value) = value {
            merged[key] = value;
        }
    }
    merged
}

/// The user's variables, then those of the image he did not name.
fn env(own: &[String], image: &[String]) -> Vec<String> {
    let name = |pair: &String| pair.split('=').next().unwrap_or_default().to_owned();
    let named: Vec<String> = own.iter().map(name).collect();
    own.iter().chain(image.iter().filter(|pair| !named.contains(&name(pair)))).cloned().collect()
}

/// The image's ports and those of `-p`, ranges apart.
fn ports(published: &[String], image: &ImageDefaults) -> BTreeMap<String, Value> {
    let mut ports: BTreeMap<String, Value> = image.exposed_ports.keys().map(|port| (port.clone(), json!({}))).collect();
    for text in published {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let port = numbers.rsplit(':').next().unwrap_or_default();
        ports.insert(format!("{port}/{protocol}"), json!({}));
    }
    ports
}

/// The image's word for it, unless the user has another signal.
fn stop_signal(config: &ContainerConfig, image: &ImageDefaults) -> Option<String> {
    let own = (!image.stop_signal.is_empty()).then(|| image.stop_signal.clone());
    let number = config.stop_signal?;
    let same = own.filter(|word| options::signal(word).is_ok_and(|known| known == number));
    Some(same.unwrap_or_else(|| options::signal_name(number)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> ImageDefaults {
        serde_json::from_value(json!({
            "User": "5", "Env": ["PATH=/bin", "A=1"], "WorkingDir": "/w", "Entrypoint": ["sh", "-c"], "Cmd": ["echo hi"],
            "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/vol": {}}, "StopSignal": "SIGINT",
            "Healthcheck": {"Test": ["CMD", "true"]},
        }))
        .unwrap()
    }

    fn container(request: &Value) -> ContainerConfig {
        serde_json::from_value(json!({
            "id": "0", "name": "n", "created": "2026-01-02T03:04:05Z", "image_id": "", "image_name": "i", "command": [],
            "image": {
                "name": "i", "reference": null, "platform": null,
                "target": {"mediaType": "m", "digest": format!("sha256:{}", "0".repeat(64)), "size": 1},
                "manifest": {"mediaType": "m", "digest": format!("sha256:{}", "0".repeat(64)), "size": 1},
            },
            "request": request, "stop_signal": 2,
        }))
        .unwrap()
    }

    #[test]
    fn what_was_not_asked_for_is_the_images() {
        let merged = config(&container(&json!({"hostname": "h"})), &image());
        assert_eq!([&merged["User"], &merged["WorkingDir"]], ["5", "/w"]);
        assert_eq!(merged["Env"], json!(["PATH=/bin", "A=1"]));
        assert_eq!([&merged["Entrypoint"], &merged["Cmd"]], [&json!(["sh", "-c"]), &json!(["echo hi"])]);
        assert_eq!([&merged["ExposedPorts"], &merged["Volumes"]], [&json!({"80/tcp": {}}), &json!({"/vol": {}})]);
        assert_eq!([&merged["StopSignal"], &merged["Healthcheck"]["Test"][1]], ["SIGINT", "true"]);
    }

    #[test]
    fn what_was_asked_for_counts() {
        let request = json!({
            "entrypoint": "", "args": ["ls"], "env": ["A=9", "C=3"], "user": "7", "cwd": "/x", "volumes": ["/anon"]
        });
        let mut asked = container(&request);
        asked.ports = vec!["127.0.0.1:8080:90/udp".to_owned()];
        asked.stop_signal = Some(9);
        let merged = config(&asked, &image());
        assert_eq!(merged["Env"], json!(["A=9", "C=3", "PATH=/bin"]));
        assert_eq!([&merged["Entrypoint"], &merged["Cmd"]], [&Value::Null, &json!(["ls"])]);
        assert_eq!([&merged["User"], &merged["WorkingDir"], &merged["StopSignal"]], ["7", "/x", "SIGKILL"]);
        assert_eq!(merged["ExposedPorts"], json!({"80/tcp": {}, "90/udp": {}}));
        assert_eq!(merged["Volumes"], json!({"/anon": {}, "/vol": {}}));
        // A new entrypoint drops the image's command.
        let merged = config(&container(&json!({"entrypoint": "ls"})), &image());
        assert_eq!([&merged["Entrypoint"], &merged["Cmd"]], [&json!(["ls"]), &Value::Null]);
    }
}
