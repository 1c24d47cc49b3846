//! In: names of `rm` and `stop`. Out: builders gone or at rest. Never: a container or its volume touched.

use crate::error::BuildersError;
use crate::group::{Driver, Node};
use crate::resolve::{ContextServer, Resolved, context_server, resolve, stored};
use crate::store::Store;
use crate::view::{self, container_of};
use crate::world::{Presence, World};

/// Removes a builder, of which `keep_daemon` leaves the containers alone; returns the name it was known by.
///
/// # Errors
/// When it is not there, belongs to a context, or has a container that would be left behind.
pub fn remove(
    store: &Store,
    world: &World<'_>,
    wanted: Option<&str>,
    keep_daemon: bool,
) -> Result<String, BuildersError> {
    let resolved = resolve(store, world, wanted)?;
    if let Some(context) = resolved.belongs_to_context() {
        return Err(BuildersError::RemoveContext(context.to_owned()));
    }
    if !keep_daemon && let Some((container, host)) = container(world, &resolved, |_| true) {
        return Err(BuildersError::ContainerKept { container, host, verb: "remove", command: "rm -f" });
    }
    let txn = store.change()?;
    // The name as it was written: another spelling of it means the same builder.
    let (side, group) = txn.group(&resolved.name)?.ok_or_else(|| BuildersError::NotFound(resolved.name.clone()))?;
    let name = stored(side, group).name;
    txn.remove(&name)?;
    Ok(wanted.map_or(name, str::to_owned))
}

/// The names of builders none of whose nodes is running; those of contexts are not among them.
///
/// # Errors
/// When the state cannot be read.
pub fn inactive(store: &Store, world: &World<'_>) -> Result<Vec<String>, BuildersError> {
    let contexts = world.contexts();
    let mut names = Vec::new();
    for view in view::all(store, world)? {
        let asleep = view.nodes.iter().all(|node| node.status != "running");
        let stored = store.look()?.exists(&view.name);
        if view.error.is_none() && asleep && !view.dynamic && stored && !contexts.contains(&view.name) {
            names.push(view.name);
        }
    }
    Ok(names)
}

/// Stops what is running of a builder: the embedded engine runs nothing between builds.
///
/// # Errors
/// When it is not there, or its container would have to be stopped.
pub fn stop(store: &Store, world: &World<'_>, wanted: Option<&str>) -> Result<(), BuildersError> {
    let resolved = resolve(store, world, wanted)?;
    if let Some(context) = resolved.belongs_to_context() {
        return match context_server(world, context) {
            ContextServer::Missing(reason) => {
                Err(BuildersError::Initialize { name: context.to_owned(), node: context.to_owned(), reason })
            }
            ContextServer::Alone | ContextServer::Beside(_) => Ok(()),
        };
    }
    match container(world, &resolved, |state| matches!(state, "running" | "restarting" | "paused")) {
        Some((container, host)) => Err(BuildersError::ContainerKept { container, host, verb: "stop", command: "stop" }),
        None => Ok(()),
    }
}

/// The first container of a builder in a state, and the engine that has it.
fn container(world: &World<'_>, resolved: &Resolved, wanted: impl Fn(&str) -> bool) -> Option<(String, String)> {
    if resolved.driver != Driver::DockerContainer {
        return None;
    }
    let of_node = |node: &Node| {
        let engine = world.engine_of(&node.endpoint).ok()?;
        if world.engines.presence(&engine) != Presence::Answers {
            return None;
        }
        let name = container_of(&node.name);
        let state = world.engines.container(&engine, &name).ok()??;
        wanted(&state).then_some((name, engine.host))
    };
    resolved.nodes.iter().find_map(of_node)
}
