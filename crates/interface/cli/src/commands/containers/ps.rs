//! In: containers. Out: Docker's table of them. Never: one that runs shown as ended, or the reverse.

use crossdock_containers::{Container, Status};
use crossdock_oci::Timestamp;
use serde_json::{Value, json};

use super::super::table::{ago, date, duration, ellipsis, formatted_with, size};
use crate::args::containers::PsArgs;
use crate::error::{CliError, result};
use crossdock_gotemplate::{Data, docker_table};

/// Characters of a command that is shown short.
const COMMAND_WIDTH: usize = 20;
const HEADINGS: [(&str, &str); 14] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Ports", "PORTS"),
    ("Names", "NAMES"),
    ("CreatedAt", "CREATED AT"),
    ("State", "STATE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("Networks", "NETWORKS"),
    ("Size", "SIZE"),
    ("LocalVolumes", "LOCAL VOLUMES"),
];
const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// `ps`
pub fn show(containers: &[Container], args: &PsArgs) -> Result<(), CliError> {
    check_filters(&args.filters)?;
    let wants_status = args.filters.iter().any(|filter| filter.starts_with("status="));
    let last = if args.latest { Some(1) } else { args.last };
    let mut list: Vec<&Container> = Vec::new();
    for container in containers {
        let shown = args.all || wants_status || last.is_some() || container.is_running();
        if shown && matches(container, &args.filters) {
            list.push(container);
        }
    }
    list.truncate(last.unwrap_or(usize::MAX));
    // Every file of a container is looked at for its size: only when it is shown.
    let with_size = args.size || args.format.as_deref().is_some_and(|format| format.contains(".Size"));
    let rows: Vec<Value> = list.iter().map(|container| row(container, args.no_trunc, with_size)).collect();
    if args.quiet {
        rows.iter().for_each(|row| result(row["ID"].as_str().unwrap_or_default()));
        return Ok(());
    }
    if let Some(format) = args.format.as_deref().filter(|format| *format != "table") {
        let with_labels = |data: Data, at: Option<usize>| {
            let known = at.map(|at| list[at].config.labels.clone()).unwrap_or_default();
            let Data::Map(mut fields) = data else { return data };
            fields.insert("Label".to_owned(), Data::Lookup { known, names_itself: at.is_none() });
            Data::Map(fields)
        };
        formatted_with(format, &HEADINGS, &rows, &with_labels)?.iter().for_each(|line| result(line));
        return Ok(());
    }
    let size = args.size.then_some(("Size", "SIZE"));
    let columns: Vec<(&str, &str)> = HEADINGS[..7].iter().copied().chain(size).collect();
    let mut table = vec![columns.iter().map(|(_, heading)| (*heading).to_owned()).collect::<Vec<_>>()];
    for row in &rows {
        let cell = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
        table.push(columns.iter().map(|(field, _)| cell(field)).collect());
    }
    docker_table(&table).iter().for_each(|line| result(line));
    Ok(())
}

/// What cannot be meant is refused, whether there are containers or not.
fn check_filters(filters: &[String]) -> Result<(), CliError> {
    for filter in filters {
        let Some((name, value)) = filter.split_once('=') else {
            return Err(CliError::bad_flag("-f, --filter", filter, "bad format of filter (expected name=value)"));
        };
        match name {
            "status" if !STATES.contains(&value) => {
                return Err(CliError::Usage(format!(
                    "invalid filter 'status={value}': invalid value for state ({value}): must be one of {}",
                    STATES.join(", ")
                )));
            }
            "id" | "name" | "status" | "exited" | "ancestor" | "label" => {}
            _ => {
                return Err(CliError::Usage(format!(
                    "invalid filter {name:?}: id, name, status, exited, ancestor and label are supported"
                )));
            }
        }
    }
    Ok(())
}

/// Filters of one name are alternatives, of different names conditions.
fn matches(container: &Container, filters: &[String]) -> bool {
    let mut names: Vec<(&str, bool)> = Vec::new();
    for filter in filters {
        let Some((name, value)) = filter.split_once('=') else { continue };
        let config = &container.config;
        let fits = match name {
            "id" => config.id.starts_with(value),
            "name" => config.name.contains(value.trim_start_matches('/').trim_start_matches('^').trim_end_matches('$')),
            "status" => status_word(container) == value,
            "exited" => container.state.status == Status::Exited && container.state.exit_code.to_string() == value,
            "ancestor" => {
                let id = value.trim_start_matches("sha256:");
                config.image_name == value
                    || config.image.name == value
                    || config.image.name.split(':').next() == Some(value)
                    || (id.len() >= 4 && config.image.target.digest.hex().starts_with(id))
            }
            "label" => match value.split_once('=') {
                Some((name, value)) => config.labels.get(name).is_some_and(|known| known == value),
                None => config.labels.contains_key(value),
            },
            _ => true,
        };
        match names.iter_mut().find(|(known, _)| *known == name) {
            // Several labels must all be there.
            Some((_, before)) if name == "label" => *before &= fits,
            Some((_, before)) => *before |= fits,
            None => names.push((name, fits)),
        }
    }
    names.iter().all(|(_, fits)| *fits)
}

pub fn status_word(container: &Container) -> &'static str {
    match container.state.status {
        Status::Created => "created",
        Status::Running => "running",
        Status::Exited => "exited",
    }
}

fn since(time: Option<Timestamp>) -> u64 {
    let now = Timestamp::now().seconds();
    now.saturating_sub(time.map_or(now, Timestamp::seconds))
}

/// `Up 3 minutes`, `Exited (0) 2 minutes ago`, `Created`.
fn status(container: &Container) -> String {
    let state = &container.state;
    match state.status {
        Status::Created => "Created".to_owned(),
        Status::Running => format!("Up {}", duration(since(state.started))),
        Status::Exited => format!("Exited ({}) {}", state.exit_code, ago(since(state.finished))),
    }
}

fn row(container: &Container, whole: bool, with_size: bool) -> Value {
    let config = &container.config;
    // As the original: what holds a blank stands in quotes, whatever else it holds.
    let quoted = |word: &String| if word.contains(' ') { format!("'{word}'") } else { word.clone() };
    let command = config.command.iter().map(quoted).collect::<Vec<_>>().join(" ");
    let command = if whole { command } else { ellipsis(&command, COMMAND_WIDTH) };
    let labels: Vec<String> = config.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    json!({
        "ID": if whole { config.id.as_str() } else { config.short_id() },
        "Image": config.image_name,
        "Command": format!("{command:?}"),
        "RunningFor": ago(since(Some(config.created))),
        "CreatedAt": date(config.created),
        "Status": status(container),
        "State": status_word(container),
        // They are the host's: there is nothing to be forwarded.
        "Ports": "",
        "Names": config.name,
        "Labels": labels.join(","),
        "Mounts": config.binds.join(","),
        "Networks": config.network_mode,
        "LocalVolumes": "0",
        "Size": size(if with_size { container.written_bytes() } else { 0 }),
    })
}
