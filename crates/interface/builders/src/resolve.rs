//! In: `--builder`, `BUILDX_BUILDER`, the builder in use. Out: the builder a command means, and who does its work. Never: a builder started.

use crossdock_docker::Endpoint;
use crossdock_oci::Platform;

use crate::error::BuildersError;
use crate::group::{Driver, Group, Node};
use crate::store::{Side, Store, Txn};
use crate::world::{Presence, World, is_everybodys};

/// The builder that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub name: String,
    pub driver: Driver,
    /// Its nodes; of a context's builder one, named like it.
    pub nodes: Vec<Node>,
    /// Where it is written; `None` for the builder of a context.
    pub side: Option<Side>,
}

impl Resolved {
    /// The context whose builder this is: its results are loaded into that context's engine.
    pub fn belongs_to_context(&self) -> Option<&str> {
        self.side.is_none().then_some(self.name.as_str())
    }

    /// The context an embedded builder was made for, when one was named.
    pub fn context(&self) -> Option<&str> {
        let node = self.nodes.first()?;
        let named = self.driver == Driver::Embedded && node.endpoint != crate::create::HERE;
        self.belongs_to_context().or_else(|| (named && !node.endpoint.contains("://")).then_some(&*node.endpoint))
    }

    /// The name of the first node, where everything is built.
    pub fn node(&self) -> &str {
        self.nodes.first().map_or(&*self.name, |node| &node.name)
    }

    /// The endpoint of the first node.
    pub fn endpoint(&self) -> &str {
        self.nodes.first().map_or("", |node| &node.endpoint)
    }

    /// The platforms its nodes are for, as they were given.
    pub fn fixed_platforms(&self) -> Vec<Platform> {
        self.nodes.iter().flat_map(Node::fixed_platforms).collect()
    }

    /// What the progress calls the driver: that which does the work.
    pub fn driver_shown(&self) -> &'static str {
        "embedded"
    }

    /// Whether the embedded engine may do this builder's work; a line for the user when it stands in for another.
    ///
    /// # Errors
    /// When the work belongs into a container or onto another machine.
    pub fn ready(&self, world: &World<'_>) -> Result<Option<String>, BuildersError> {
        match &self.driver {
            Driver::Embedded | Driver::Docker => Ok(None),
            Driver::DockerContainer => self.stand_in(world),
            Driver::Remote | Driver::Kubernetes | Driver::Other(_) => Err(BuildersError::RemoteBuild {
                name: self.name.clone(),
                driver: self.driver.name().to_owned(),
                endpoint: self.endpoint().to_owned(),
            }),
        }
    }

    fn stand_in(&self, world: &World<'_>) -> Result<Option<String>, BuildersError> {
        let mut hosts: Vec<String> = Vec::new();
        for node in &self.nodes {
            let engine = world.engine_of(&node.endpoint)?;
            match world.engines.presence(&engine) {
                Presence::Nobody(_) => hosts.push(engine.host),
                Presence::Answers | Presence::Unknown(_) => {
                    return Err(BuildersError::ContainerBuild { name: self.name.clone(), host: engine.host });
                }
            }
        }
        let hosts = hosts.join(", ");
        Ok(Some(format!(
            "builder {:?} (driver docker-container): no engine answers at {hosts}: the embedded engine does its work",
            self.name
        )))
    }
}

/// The builder that is meant: the one wanted, else the one in use with the current engine, else the current context's own.
///
/// # Errors
/// `no builder "x" found`; state or configuration that cannot be read.
pub fn resolve(store: &Store, world: &World<'_>, wanted: Option<&str>) -> Result<Resolved, BuildersError> {
    resolve_in(&store.look()?, world, wanted)
}

pub(crate) fn resolve_in(txn: &Txn<'_>, world: &World<'_>, wanted: Option<&str>) -> Result<Resolved, BuildersError> {
    let Some(name) = wanted.filter(|name| !name.is_empty()) else {
        return match txn.current(&world.key()?)? {
            Some((side, group)) => Ok(stored(side, group)),
            None => Ok(of_context(&world.current_context()?)),
        };
    };
    if crate::name::validate(name).is_ok()
        && let Some((side, group)) = txn.group(name)?
    {
        return Ok(stored(side, group));
    }
    if world.has_context(name) {
        return Ok(of_context(name));
    }
    Err(BuildersError::NotFound(name.to_owned()))
}

/// A builder as it is written.
pub(crate) fn stored(side: Side, group: Group) -> Resolved {
    let driver = group.driver();
    Resolved { name: group.name, driver, nodes: group.nodes, side: Some(side) }
}

/// The builder every context has.
pub(crate) fn of_context(name: &str) -> Resolved {
    let node = Node { name: name.to_owned(), endpoint: name.to_owned(), ..Node::default() };
    Resolved { name: name.to_owned(), driver: Driver::Docker, nodes: vec![node], side: None }
}

/// Remembers that a builder is used now; builders of contexts are not remembered.
///
/// # Errors
/// When it cannot be written.
pub fn used(store: &Store, resolved: &Resolved) -> Result<(), BuildersError> {
    if resolved.side.is_none() {
        return Ok(());
    }
    let txn = store.change()?;
    if let Some((_, group)) = txn.group(&resolved.name)? {
        txn.touch(&group)?;
    }
    drop(txn);
    store.node_id().map(drop)
}

/// `use`
///
/// # Errors
/// When there is no such builder, or it belongs to a context that is not the current one.
pub fn choose(store: &Store, world: &World<'_>, name: &str, global: bool, default: bool) -> Result<(), BuildersError> {
    let key = world.key()?;
    let txn = store.change()?;
    let found = match txn.group(name) {
        Err(BuildersError::Name(_)) => None,
        other => other?,
    };
    if found.is_some() {
        return txn.set_current(&key, name, global, default);
    }
    let current = world.current_context()?;
    if name == current {
        return txn.set_current(&key, "", false, false);
    }
    if world.has_context(name) {
        let name = name.to_owned();
        let to_default = name == crossdock_docker::DEFAULT_CONTEXT;
        return Err(if to_default {
            BuildersError::OtherContextDefault(name)
        } else {
            BuildersError::OtherContext(name)
        });
    }
    crate::name::validate(name)?;
    Err(BuildersError::NotFoundToUse { name: name.to_owned(), path: txn.path_of(name) })
}

/// Who does the work of a context's builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextServer {
    /// The embedded engine, which loads results into the engine that answers.
    Beside(Endpoint),
    /// The embedded engine, since none was chosen and none is there.
    Alone,
    /// An engine was chosen and cannot be used: the reason.
    Missing(String),
}

/// Looks at the engine of a context.
pub fn context_server(world: &World<'_>, context: &str) -> ContextServer {
    let endpoint = match world.docker.endpoint_of(context) {
        Ok(endpoint) => endpoint,
        Err(error) => return ContextServer::Missing(error.to_string()),
    };
    match world.engines.presence(&endpoint) {
        Presence::Answers => ContextServer::Beside(endpoint),
        Presence::Nobody(_) if is_everybodys(&endpoint) => ContextServer::Alone,
        Presence::Nobody(reason) | Presence::Unknown(reason) => ContextServer::Missing(reason),
    }
}

#[cfg(test)]
mod tests;
