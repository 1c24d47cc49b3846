//! In: builders and what answers at their endpoints. Out: what `ls` and `inspect` show of them. Never: text; a builder changed.

use std::collections::BTreeMap;

use crossdock_oci::{Platform, Timestamp};

use crate::error::BuildersError;
use crate::group::{Driver, Node};
use crate::resolve::{ContextServer, Resolved, context_server, of_context, resolve_in, stored};
use crate::store::Store;
use crate::world::{Presence, World};

const LABEL: &str = "org.mobyproject.buildkit.worker";

/// A builder as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuilderView {
    pub name: String,
    /// Empty when it could not be loaded.
    pub driver: String,
    pub dynamic: bool,
    pub current: bool,
    pub last_activity: Option<Timestamp>,
    /// Why it could not be loaded.
    pub error: Option<String>,
    pub nodes: Vec<NodeView>,
}

/// A node as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeView {
    pub name: String,
    pub endpoint: String,
    pub driver_opts: BTreeMap<String, String>,
    pub flags: Vec<String>,
    pub files: Vec<(String, String)>,
    /// `inactive`, `running`, `stopped`, …
    pub status: String,
    pub error: Option<String>,
    pub version: String,
    pub fixed: Vec<Platform>,
    pub found: Vec<Platform>,
    pub labels: BTreeMap<String, String>,
}

impl NodeView {
    fn of(node: &Node) -> Self {
        Self {
            name: node.name.clone(),
            endpoint: node.endpoint.clone(),
            driver_opts: node.driver_opts.clone().unwrap_or_default(),
            flags: node.flags.clone().unwrap_or_default(),
            files: node.file_texts(),
            fixed: node.fixed_platforms(),
            ..Self::default()
        }
    }

    /// The embedded engine does this node's work.
    fn embedded(mut self, world: &World<'_>) -> Self {
        "running".clone_into(&mut self.status);
        self.version.clone_from(&world.version);
        self.found.clone_from(&world.platforms);
        let label = |key: &str, value: &str| (format!("{LABEL}.{key}"), value.to_owned());
        self.labels = BTreeMap::from([label("executor", "embedded"), label("hostname", &world.host_name)]);
        self
    }
}

/// All builders: those that are written by name, then those of contexts.
///
/// # Errors
/// When the state or Docker's configuration cannot be read. A single broken builder is one with an error.
pub fn all(store: &Store, world: &World<'_>) -> Result<Vec<BuilderView>, BuildersError> {
    let mut wanted = Vec::new();
    let txn = store.look()?;
    let current = resolve_in(&txn, world, None);
    let is_current = |resolved: &Resolved| current.as_ref().is_ok_and(|current| current == resolved);
    for found in txn.groups()? {
        wanted.push(match found {
            Ok((side, group)) => {
                let last_activity = txn.last_activity(side, &group.name)?;
                let dynamic = group.dynamic;
                let resolved = stored(side, group);
                let view = BuilderView { dynamic, last_activity, current: is_current(&resolved), ..Default::default() };
                Ok((resolved, view))
            }
            Err((name, error)) => Err(BuilderView { name, error: Some(error.to_string()), ..Default::default() }),
        });
    }
    for context in world.contexts() {
        let resolved = of_context(&context);
        let view = BuilderView { current: is_current(&resolved), ..Default::default() };
        wanted.push(Ok((resolved, view)));
    }
    drop(txn);
    // Engines that do not answer take their time: all are asked at once.
    let views = std::thread::scope(|scope| {
        let asked: Vec<_> = wanted
            .into_iter()
            .map(|wanted| scope.spawn(move || wanted.map_or_else(|broken| broken, |(it, view)| fill(world, &it, view))))
            .collect();
        asked.into_iter().map(|thread| thread.join().expect("nothing panics there")).collect()
    });
    Ok(views)
}

/// One builder.
///
/// # Errors
/// When it is not there, or the state cannot be read.
pub fn one(store: &Store, world: &World<'_>, resolved: &Resolved) -> Result<BuilderView, BuildersError> {
    let txn = store.look()?;
    let last_activity = match resolved.side {
        Some(side) => txn.last_activity(side, &resolved.name)?,
        None => None,
    };
    drop(txn);
    Ok(fill(world, resolved, BuilderView { last_activity, ..Default::default() }))
}

fn fill(world: &World<'_>, resolved: &Resolved, mut view: BuilderView) -> BuilderView {
    view.name.clone_from(&resolved.name);
    resolved.driver.name().clone_into(&mut view.driver);
    if let Some(context) = resolved.belongs_to_context() {
        match context_server(world, context) {
            ContextServer::Beside(_) => {}
            ContextServer::Alone => "embedded".clone_into(&mut view.driver),
            ContextServer::Missing(reason) => {
                view.driver.clear();
                view.error = Some(reason);
                return view;
            }
        }
    }
    view.nodes = resolved.nodes.iter().map(|node| node_view(world, &resolved.driver, node)).collect();
    view
}

fn node_view(world: &World<'_>, driver: &Driver, node: &Node) -> NodeView {
    let view = NodeView::of(node);
    match driver {
        Driver::Embedded | Driver::Docker => view.embedded(world),
        Driver::DockerContainer => container_node(world, node, view),
        Driver::Remote => {
            let status = if world.engines.daemon(&node.endpoint).is_ok() { "running" } else { "inactive" };
            NodeView { status: status.to_owned(), ..view }
        }
        Driver::Kubernetes => NodeView { status: "inactive".to_owned(), ..view },
        Driver::Other(name) => {
            NodeView { error: Some(format!("failed to find driver {name:?}")), status: "error".to_owned(), ..view }
        }
    }
}

/// The name buildx gives a node's container.
pub(crate) fn container_of(node: &str) -> String {
    format!("buildx_buildkit_{node}")
}

fn container_node(world: &World<'_>, node: &Node, view: NodeView) -> NodeView {
    let failed = |error: String, view| NodeView { error: Some(error), status: "error".to_owned(), ..view };
    let engine = match world.engine_of(&node.endpoint) {
        Ok(engine) => engine,
        Err(error) => return failed(error.to_string(), view),
    };
    match world.engines.presence(&engine) {
        Presence::Nobody(_) => view.embedded(world),
        Presence::Unknown(reason) => failed(reason, view),
        Presence::Answers => match world.engines.container(&engine, &container_of(&node.name)) {
            Ok(state) => NodeView { status: container_status(state.as_deref()).to_owned(), ..view },
            Err(error) => failed(error.to_string(), view),
        },
    }
}

/// The engine's word for a container's state, in those of builders.
fn container_status(state: Option<&str>) -> &'static str {
    match state {
        Some("running") => "running",
        Some("restarting") => "starting",
        Some("removing") => "stopping",
        Some(_) => "stopped",
        None => "inactive",
    }
}
