//! In: `info`, `version`. Out: facts of this program, its store and the engine beside it, in Docker's shapes. Never: a change.

use std::fmt::Write as _;

use crossdock_docker::{Answer, CancelCheck, DockerError, Endpoint, EngineApi};
use crossdock_gotemplate::{Data, Options};
use serde_json::{Value, json};

use super::install::{PLUGIN_NAME, plugin_dirs};
use super::template;
use crate::args::faces::FormatArgs;
use crate::error::{CliError, whole_result};
use crate::face::{API_VERSION, BUILDX_VERSION, DOCKER_VERSION, Face, REVISION, Session};

/// `info`
pub fn info(session: &Session, args: &FormatArgs) -> Result<(), CliError> {
    let document = info_document(session)?;
    if let Some(format) = &args.format {
        return formatted(format, &document);
    }
    whole_result(info_text(&document).trim_end())
}

/// `version`
pub fn version(session: &Session, args: &FormatArgs) -> Result<(), CliError> {
    if session.face == Face::Own && args.format.is_none() {
        return whole_result(&format!("crossdock {}", env!("CARGO_PKG_VERSION")));
    }
    let document = version_document(session)?;
    if let Some(format) = &args.format {
        return formatted(format, &document);
    }
    let mut text = String::new();
    for (title, key) in [("Client: Crossdock", "Client"), ("Server: Crossdock (no daemon)", "Server")] {
        let part = &document[key];
        let _ = writeln!(text, "{title}");
        for (label, key) in [
            ("Version:", "Version"),
            ("API version:", "ApiVersion"),
            ("Git commit:", "GitCommit"),
            ("OS/Arch:", "Platform"),
            ("Context:", "Context"),
        ] {
            if let Some(value) = part[key].as_str() {
                let _ = writeln!(text, " {label:<18} {value}");
            }
        }
        text.push('\n');
    }
    if let Some(engine) = engine_line(&document["Engine"]) {
        let _ = writeln!(text, "{engine}");
    }
    whole_result(text.trim_end())
}

/// `json`, or a Go template; a document a line.
fn formatted(format: &str, document: &Value) -> Result<(), CliError> {
    if format == "json" {
        return whole_result(&document.to_string());
    }
    let template = template::of_documents(format)?;
    let text = template.render(&Data::from(document), &Options::default());
    whole_result(&text.map_err(|error| CliError::Usage(error.to_string()))?)
}

fn version_document(session: &Session) -> Result<Value, CliError> {
    let host = crossdock_oci::Platform::host();
    let (os, arch) = (host.os, host.architecture);
    let common = json!({
        "Version": DOCKER_VERSION,
        "ApiVersion": API_VERSION,
        "GitCommit": REVISION,
        "Os": os,
        "Arch": arch,
        "Platform": format!("{os}/{arch}"),
    });
    let mut client = common.clone();
    client["DefaultAPIVersion"] = API_VERSION.into();
    client["Context"] = session.docker().context_name()?.into();
    Ok(json!({ "Client": client, "Server": common, "Engine": beside(session) }))
}

/// What is known of the engine that is meant.
fn beside(session: &Session) -> Value {
    let ask = |endpoint: &Endpoint| -> Result<Value, DockerError> {
        match EngineApi::find(endpoint, CancelCheck::default())? {
            Answer::Nobody(_) => Ok(Value::Null),
            Answer::Engine(api) => Ok(json!({ "Host": endpoint.host, "Version": api.version()?.version })),
        }
    };
    match session.docker().endpoint() {
        Ok(endpoint) => {
            ask(&endpoint).unwrap_or_else(|error| json!({ "Host": endpoint.host, "Error": error.to_string() }))
        }
        Err(error) => json!({ "Error": error.to_string() }),
    }
}

fn engine_line(engine: &Value) -> Option<String> {
    let host = engine["Host"].as_str().unwrap_or_default();
    match (engine["Version"].as_str(), engine["Error"].as_str()) {
        (Some(version), _) => {
            Some(format!("Docker Engine beside: {version} at {host} (results of builds are loaded into it)"))
        }
        (None, Some(error)) => Some(format!("Docker Engine beside: {error}")),
        (None, None) => None,
    }
}

fn info_document(session: &Session) -> Result<Value, CliError> {
    let engine = super::engine()?;
    let platform = crossdock_oci::Platform::host();
    let uname = rustix::system::uname();
    let memory = rustix::system::sysinfo();
    let plugin = json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "Docker Inc.",
        "Version": BUILDX_VERSION,
        "ShortDescription": "Docker Buildx",
        "Name": "buildx",
        "Path": plugin_path(session)?,
    });
    Ok(json!({
        "Images": engine.images().list()?.len(),
        "Driver": "crossdock",
        "KernelVersion": uname.release().to_string_lossy(),
        "OSType": std::env::consts::OS,
        "Architecture": uname.machine().to_string_lossy(),
        "Platform": platform.to_string(),
        "NCPU": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "MemTotal": memory.totalram * u64::from(memory.mem_unit),
        "Name": uname.nodename().to_string_lossy(),
        "DockerRootDir": engine.store().root().display().to_string(),
        "ServerVersion": DOCKER_VERSION,
        "Engine": beside(session),
        "ClientInfo": {
            "Debug": session.debug,
            "Version": DOCKER_VERSION,
            "DefaultAPIVersion": API_VERSION,
            "GitCommit": REVISION,
            "Os": std::env::consts::OS,
            "Arch": platform.architecture,
            "Context": session.docker().context_name()?,
            "Plugins": [plugin],
            "Warnings": null,
        },
    }))
}

/// The link Docker's client would find, else this program: the shim needs no link.
fn plugin_path(session: &Session) -> Result<String, CliError> {
    let found = plugin_dirs(session)?.into_iter().map(|dir| dir.join(PLUGIN_NAME)).find(|path| path.is_file());
    let path = match found {
        Some(path) => path,
        None => std::env::current_exe().unwrap_or_default(),
    };
    Ok(path.display().to_string())
}

fn info_text(document: &Value) -> String {
    let client = &document["ClientInfo"];
    let plugin = &client["Plugins"][0];
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut text = String::new();
    let _ = writeln!(text, "Client: Crossdock");
    let _ = writeln!(text, " Version:    {}", word(&client["Version"]));
    let _ = writeln!(text, " Context:    {}", word(&client["Context"]));
    let _ = writeln!(text, " Debug Mode: {}", word(&client["Debug"]));
    let _ = writeln!(text, " Plugins:");
    let _ = writeln!(text, "  buildx: {} ({})", word(&plugin["ShortDescription"]), word(&plugin["Vendor"]));
    let _ = writeln!(text, "    Version:  {}", word(&plugin["Version"]));
    let _ = writeln!(text, "    Path:     {}", word(&plugin["Path"]));
    let _ = writeln!(text, "\nServer: Crossdock (no daemon)");
    for (label, key) in [
        ("Images", "Images"),
        ("Server Version", "ServerVersion"),
        ("Storage Driver", "Driver"),
        ("Kernel Version", "KernelVersion"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
        ("CPUs", "NCPU"),
    ] {
        let _ = writeln!(text, " {label}: {}", word(&document[key]));
    }
    let _ = writeln!(text, " Total Memory: {}", gib(document["MemTotal"].as_u64().unwrap_or_default()));
    let _ = writeln!(text, " Name: {}", word(&document["Name"]));
    let _ = writeln!(text, " Docker Root Dir: {}", word(&document["DockerRootDir"]));
    if let Some(engine) = engine_line(&document["Engine"]) {
        let _ = writeln!(text, " {engine}");
    }
    text
}

/// `15.62GiB`, as Docker shows memory.
fn gib(bytes: u64) -> String {
    let hundredths = bytes / (1024 * 1024) * 100 / 1024;
    format!("{}.{:02}GiB", hundredths / 100, hundredths % 100)
}
