//! In: builders as they are shown. Out: the text of `ls`: table, JSON or what a template makes. Never: a look at a builder.

use crossdock_gotemplate::{Data, Field, Options, Template};
use crossdock_oci::Timestamp;
use serde_json::{Map, Value, json};

use crate::error::BuildersError;
use crate::platforms;
use crate::view::{BuilderView, NodeView};

const TABLE: &str = "table";
/// The template of `table` alone.
const TABLE_DEFAULT: &str = "{{.Name}}\t{{.DriverEndpoint}}\t{{.Status}}\t{{.Buildkit}}\t{{.Platforms}}";
/// Stands before nodes in a table.
const BRANCH: &str = " \\_ ";
/// Go's time of nothing.
const NEVER: &str = "0001-01-01T00:00:00Z";

/// What `ls` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    pub out: Vec<String>,
    /// Builders and nodes that could not be looked at.
    pub errors: Vec<String>,
}

/// Fields of one row.
#[derive(Default)]
struct Row {
    name: String,
    driver_endpoint: String,
    last_activity: String,
    status: String,
    buildkit: String,
    platforms: String,
    error: String,
}

impl Row {
    fn headings() -> Self {
        Self {
            name: "NAME/NODE".into(),
            driver_endpoint: "DRIVER/ENDPOINT".into(),
            last_activity: "LAST ACTIVITY".into(),
            status: "STATUS".into(),
            buildkit: "BUILDKIT".into(),
            platforms: "PLATFORMS".into(),
            error: "ERROR".into(),
        }
    }

    fn of_builder(view: &BuilderView, in_table: bool) -> Self {
        let mark = if in_table && view.current { "*" } else { "" };
        let failed = view.error.is_some();
        Self {
            name: format!("{}{mark}", view.name),
            driver_endpoint: view.driver.clone(),
            last_activity: view.last_activity.map(|time| time.to_string()).unwrap_or_default(),
            status: if failed { "error".to_owned() } else { String::new() },
            error: view.error.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    fn of_node(view: &NodeView, in_table: bool, no_trunc: bool) -> Self {
        let branch = if in_table { BRANCH } else { "" };
        let words = platforms::marked(&view.fixed, &view.found);
        let platforms = if no_trunc || !in_table { words.join(", ") } else { platforms::grouped(&words) };
        Self {
            name: format!("{branch}{}", view.name),
            driver_endpoint: format!("{branch}{}", view.endpoint),
            status: view.status.clone(),
            buildkit: view.version.clone(),
            platforms,
            error: view.error.clone().unwrap_or_default(),
            ..Self::default()
        }
    }

    fn data(&self) -> Data {
        Data::Struct {
            type_name: "*commands.lsContext",
            fields: vec![
                Field::new("Name", "Name", self.name.clone()),
                Field::new("DriverEndpoint", "DriverEndpoint", self.driver_endpoint.clone()),
                Field::new("LastActivity", "LastActivity", self.last_activity.clone()),
                Field::new("Status", "Status", self.status.clone()),
                Field::new("Buildkit", "Buildkit", self.buildkit.clone()),
                Field::new("Platforms", "Platforms", self.platforms.clone()),
                Field::new("Error", "Error", self.error.clone()),
            ],
        }
    }
}

/// The builders in a format: `table`, `table TEMPLATE`, `json`, or a template for each row.
///
/// # Errors
/// When the template makes no sense.
pub fn list(views: &[BuilderView], format: &str, no_trunc: bool) -> Result<Listing, BuildersError> {
    if format == "json" || format == "{{json .}}" {
        return Ok(Listing { out: views.iter().map(|view| json(view).to_string()).collect(), errors: Vec::new() });
    }
    let in_table = format.starts_with(TABLE);
    let text = match format {
        "" | TABLE => TABLE_DEFAULT.to_owned(),
        text => text.strip_prefix(TABLE).map_or(text, str::trim_start).replace("\\t", "\t").replace("\\n", "\n"),
    };
    let in_table = in_table || format.is_empty();
    let template = Template::parse(&text)?;
    let render =
        |row: &Row| -> Result<String, BuildersError> { Ok(template.render(&row.data(), &Options::default())?) };
    let mut lines = Vec::new();
    if in_table {
        lines.push(render(&Row::headings())?);
    }
    for view in views {
        lines.push(render(&Row::of_builder(view, in_table))?);
        for node in view.nodes.iter().filter(|_| view.error.is_none()) {
            lines.push(render(&Row::of_node(node, in_table, no_trunc))?);
        }
    }
    if !in_table {
        return Ok(Listing { out: lines, errors: Vec::new() });
    }
    let cells: Vec<Vec<String>> = lines.iter().map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    Ok(Listing { out: crossdock_gotemplate::docker_table(&cells), errors: views.iter().flat_map(errors).collect() })
}

fn errors(view: &BuilderView) -> Vec<String> {
    if let Some(error) = &view.error {
        return vec![format!("Cannot load builder {}: {error}", view.name)];
    }
    let error = |node: &NodeView| {
        let error = node.error.as_ref()?;
        Some(format!("Failed to get status for {} ({}): {error}", view.name, node.name))
    };
    view.nodes.iter().filter_map(error).collect()
}

/// One builder in JSON, as buildx has it.
fn json(view: &BuilderView) -> Value {
    let mut map = Map::new();
    map.insert("Current".into(), view.current.into());
    map.insert("Driver".into(), view.driver.clone().into());
    map.insert("Dynamic".into(), view.dynamic.into());
    if let Some(error) = &view.error {
        map.insert("Err".into(), error.clone().into());
    }
    map.insert("LastActivity".into(), last_activity(view.last_activity).into());
    map.insert("Name".into(), view.name.clone().into());
    let nodes: Vec<Value> = match &view.error {
        Some(_) => vec![json!({ "Endpoint": "", "Name": "" })],
        None => view.nodes.iter().map(node_json).collect(),
    };
    map.insert("Nodes".into(), nodes.into());
    Value::Object(map)
}

fn last_activity(time: Option<Timestamp>) -> String {
    time.map_or_else(|| NEVER.to_owned(), |time| time.to_string())
}

fn node_json(node: &NodeView) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| {
        let empty = match &value {
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !empty || matches!(key, "Name" | "Endpoint") {
            map.insert(key.to_owned(), value);
        }
    };
    put("Name", node.name.clone().into());
    put("Endpoint", node.endpoint.clone().into());
    put("DriverOpts", json!(node.driver_opts));
    put("Err", node.error.clone().unwrap_or_default().into());
    put("Files", node.files.iter().cloned().map(|(name, text)| (name, Value::from(text))).collect());
    put("Flags", json!(node.flags));
    put("Labels", json!(node.labels));
    put("Platforms", json!(platforms::plain(&node.fixed, &node.found)));
    put("Status", node.status.clone().into());
    put("Version", node.version.clone().into());
    Value::Object(map)
}
