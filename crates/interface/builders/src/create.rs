//! In: the words of `create`. Out: a builder, or a node more or less of one. Never: a builder written that could not work.

use std::collections::BTreeMap;

use crossdock_docker::DEFAULT_CONTEXT;
use crossdock_oci::Platform;

use crate::error::BuildersError;
use crate::group::{Driver, Group, NodeUpdate};
use crate::store::{Store, Txn};
use crate::world::{Presence, World, is_here};
use crate::{name, options};

/// The endpoint of a node that is this program.
pub const HERE: &str = "local";
/// Schemes under which a daemon can be reached.
const DAEMON_SCHEMES: &[&str] =
    &["unix", "tcp", "ssh", "docker-container", "podman-container", "nerdctl-container", "kube-pod", "npipe"];

/// `create`, as typed; empty texts were not given.
#[derive(Debug, Clone, Default)]
pub struct Create {
    pub name: String,
    pub driver: String,
    pub node: String,
    pub endpoint: String,
    pub platforms: Vec<String>,
    pub append: bool,
    pub use_: bool,
    pub driver_opts: Vec<String>,
    pub buildkitd_flags: Option<String>,
    pub buildkitd_config: Option<String>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub name: String,
    /// Lines for the user.
    pub notes: Vec<String>,
}

/// `create --leave`
#[derive(Debug, Clone, Default)]
pub struct Leave {
    pub name: String,
    pub node: String,
}

impl Leave {
    /// Takes the node out of its builder.
    ///
    /// # Errors
    /// When one of both is not there, or it is the last.
    pub fn run(&self, store: &Store) -> Result<(), BuildersError> {
        if self.name == DEFAULT_CONTEXT {
            return Err(BuildersError::Reserved);
        }
        if self.name.is_empty() {
            return Err(BuildersError::LeaveNeedsName);
        }
        if self.node.is_empty() {
            return Err(BuildersError::LeaveNeedsNode);
        }
        let txn = store.change()?;
        let (_, mut group) = txn.group(&self.name)?.ok_or_else(|| BuildersError::LeaveMissing(self.name.clone()))?;
        group.leave(&self.node)?;
        txn.save(&group)
    }
}

/// What is settled before the node is written.
struct Plan {
    group: Group,
    driver: Driver,
    /// The node's name, for messages.
    node: String,
    update: NodeUpdate,
    notes: Vec<String>,
}

impl Create {
    /// Makes the builder or changes it.
    ///
    /// # Errors
    /// In buildx's words where it has some; nothing is written then.
    pub fn run(&self, store: &Store, world: &World<'_>) -> Result<Created, BuildersError> {
        if self.name == DEFAULT_CONTEXT {
            return Err(BuildersError::Reserved);
        }
        if self.append && self.name.is_empty() {
            return Err(BuildersError::AppendNeedsName);
        }
        let platforms = platforms(&self.platforms)?;
        let existing = self.existing(&store.look()?, world)?;
        // Engines may take their time to answer: the lock is not held meanwhile.
        let mut plan = self.plan(store, world, existing, platforms)?;
        let txn = store.change()?;
        if let Some((_, now)) = txn.group(&plan.group.name)? {
            self.check_existing(&now)?;
            plan.group = now;
        }
        let updated = plan.group.update(plan.update)?;
        if updated.needs_restart && plan.driver != Driver::Embedded {
            plan.notes.push("WARNING: new settings may not be used until builder is restarted".to_owned());
        }
        txn.save(&plan.group)?;
        txn.touch(&plan.group)?;
        if self.use_ {
            txn.set_current(&world.key()?, &plan.group.name, false, false)?;
        }
        Ok(Created { name: plan.group.name, notes: plan.notes })
    }

    /// The builder that is there under this name, if it may be changed.
    fn existing(&self, txn: &Txn<'_>, world: &World<'_>) -> Result<Option<Group>, BuildersError> {
        if self.name.is_empty() {
            return Ok(None);
        }
        name::validate(&self.name)?;
        let Some((_, group)) = txn.group(&self.name)? else {
            if world.has_context(&self.name) {
                return Err(BuildersError::IsContext(self.name.clone()));
            }
            if self.append {
                return Err(BuildersError::AppendMissing(self.name.clone()));
            }
            return Ok(None);
        };
        self.check_existing(&group)?;
        Ok(Some(group))
    }

    fn check_existing(&self, group: &Group) -> Result<(), BuildersError> {
        if self.node.is_empty() && !self.append {
            return Err(BuildersError::Exists(self.name.clone()));
        }
        if !self.driver.is_empty() && self.driver != group.driver {
            return Err(BuildersError::DriverMismatch { name: self.name.clone(), driver: group.driver.clone() });
        }
        Ok(())
    }

    fn plan(
        &self,
        store: &Store,
        world: &World<'_>,
        existing: Option<Group>,
        platforms: Vec<Platform>,
    ) -> Result<Plan, BuildersError> {
        let driver = self.driver(existing.as_ref(), world)?;
        let group = match existing {
            Some(group) => group,
            None if self.name.is_empty() => {
                let txn = store.look()?;
                Group::new(&name::random(&|name| txn.exists(name) || world.has_context(name)), &driver)
            }
            None => Group::new(&self.name, &driver),
        };
        let node = if self.node.is_empty() { group.next_node_name() } else { self.node.clone() };
        let driver_opts = options::driver_opts(&self.driver_opts)?;
        let files = options::files(self.buildkitd_config.as_deref())?;
        let no_options = BTreeMap::new();
        let options = driver_opts.as_ref().unwrap_or(&no_options);
        let flags = options::flags(self.buildkitd_flags.as_deref(), &driver, options, &files)?;
        let (endpoint, endpoint_set) = self.endpoint(&driver, &group, &node, world)?;
        let update = NodeUpdate {
            node: self.node.clone(),
            endpoint,
            endpoint_set,
            platforms,
            driver_opts,
            flags,
            files,
            append: self.append,
        };
        let mut plan = Plan { group, driver, node, update, notes: Vec::new() };
        plan.check_driver(world)?;
        Ok(plan)
    }

    /// The driver named, that of the builder, or the one that follows from the endpoint.
    fn driver(&self, existing: Option<&Group>, world: &World<'_>) -> Result<Driver, BuildersError> {
        if let Some(group) = existing {
            return Ok(group.driver());
        }
        match Driver::named(&self.driver) {
            Driver::Other(name) if name.is_empty() => {}
            Driver::Other(name) => return Err(BuildersError::DriverUnknown(name)),
            Driver::Docker => return Err(BuildersError::DriverDocker),
            driver => return Ok(driver),
        }
        let by_address = if self.endpoint.is_empty() {
            world.buildkit_host.is_some()
        } else {
            self.endpoint.contains("://") && !world.has_context(&self.endpoint)
        };
        Ok(if by_address { Driver::Remote } else { Driver::Embedded })
    }

    /// The node's endpoint, and whether it was named.
    fn endpoint(
        &self,
        driver: &Driver,
        group: &Group,
        node: &str,
        world: &World<'_>,
    ) -> Result<(String, bool), BuildersError> {
        match driver {
            Driver::Remote => {
                let named = Some(&self.endpoint).filter(|endpoint| !endpoint.is_empty());
                let endpoint = named.or(world.buildkit_host.as_ref()).ok_or(BuildersError::NoRemoteEndpoint)?;
                let scheme = endpoint.split_once("://").map_or("", |(scheme, _)| scheme);
                if !DAEMON_SCHEMES.contains(&scheme) {
                    return Err(BuildersError::Scheme(scheme.to_owned()));
                }
                Ok((endpoint.clone(), true))
            }
            Driver::Kubernetes => {
                let (name, kubeconfig) = (&group.name, query_escape(&world.kubeconfig));
                Ok((format!("kubernetes:///{name}?deployment={node}&kubeconfig={kubeconfig}"), false))
            }
            Driver::Embedded => self.embedded_endpoint(group, world),
            Driver::Docker | Driver::DockerContainer | Driver::Other(_) => {
                if !self.endpoint.is_empty() {
                    let context = world.has_context(&self.endpoint);
                    let engine = world.engine_of(&self.endpoint)?;
                    return Ok((if context { self.endpoint.clone() } else { engine.host }, true));
                }
                let engine = world.docker.endpoint()?;
                if engine.tls && engine.context == DEFAULT_CONTEXT {
                    return Err(BuildersError::TlsFromEnvironment);
                }
                Ok((engine.key().to_owned(), false))
            }
        }
    }

    /// An embedded node is here; a context says into which engine its results are loaded. Other machines are refused.
    fn embedded_endpoint(&self, group: &Group, world: &World<'_>) -> Result<(String, bool), BuildersError> {
        let named = !self.endpoint.is_empty();
        let engine = if named { world.engine_of(&self.endpoint)? } else { world.docker.endpoint()? };
        // Where results are loaded may be anywhere; what is added as a node beside the first must be a machine of its own.
        if (named || self.append) && !is_here(&engine.host) {
            return Err(BuildersError::EmbeddedElsewhere { name: group.name.clone(), endpoint: engine.host });
        }
        Ok((if named { self.endpoint.clone() } else { HERE.to_owned() }, named))
    }
}

impl Plan {
    /// What only a look at the driver can tell.
    fn check_driver(&mut self, world: &World<'_>) -> Result<(), BuildersError> {
        let no_options = BTreeMap::new();
        let options = self.update.driver_opts.as_ref().unwrap_or(&no_options);
        if let Some(reason) = options::unknown_option(&self.driver, options) {
            return Err(self.initialize(reason));
        }
        match &self.driver {
            Driver::Remote if self.update.flags.is_some() => {
                Err(self.initialize("setting buildkit flags is not supported for remote driver".to_owned()))
            }
            Driver::Remote if !self.update.files.is_empty() => {
                Err(self.initialize("setting config file is not supported for remote driver".to_owned()))
            }
            Driver::Remote => self.check_tls(),
            Driver::DockerContainer => self.check_engine(world),
            Driver::Embedded => {
                self.note_unused();
                Ok(())
            }
            Driver::Kubernetes | Driver::Docker | Driver::Other(_) => Ok(()),
        }
    }

    fn check_tls(&self) -> Result<(), BuildersError> {
        let Some(options) = &self.update.driver_opts else { return Ok(()) };
        let given = |key: &str| options.get(key).is_some_and(|value| !value.is_empty());
        let any = ["cacert", "cert", "key", "servername"].iter().any(|key| given(key));
        if any && !given("cacert") {
            return Err(self.initialize("tls enabled, but missing keys cacert".to_owned()));
        }
        Ok(())
    }

    /// The containers of an engine that answers would have to be driven; where none answers this program does the work.
    fn check_engine(&mut self, world: &World<'_>) -> Result<(), BuildersError> {
        let engine = world.engine_of(&self.update.endpoint)?;
        let host = engine.host.clone();
        let reason = match world.engines.presence(&engine) {
            Presence::Answers => return Err(BuildersError::ContainerDriver { host }),
            Presence::Unknown(reason) => return Err(self.initialize(reason)),
            Presence::Nobody(reason) => reason,
        };
        let name = &self.group.name;
        self.notes.push(if is_here(&host) {
            format!("builder {name:?}: no engine answers at {host}: the embedded engine does the work of driver docker-container")
        } else {
            format!(
                "builder {name:?}, node {:?}: {reason}: the embedded engine does its work here; work on other machines comes with remote nodes",
                self.node
            )
        });
        Ok(())
    }

    /// A setting without effect is said, not swallowed.
    fn note_unused(&mut self) {
        let options = self.update.driver_opts.iter().flat_map(BTreeMap::keys);
        let options = options.filter(|key| *key != "default-load").map(|key| format!("driver option {key}"));
        let flags = self.update.flags.iter().map(|_| "--buildkitd-flags".to_owned());
        let files = self.update.files.keys().map(|_| "--buildkitd-config".to_owned());
        let unused: Vec<String> = options.chain(flags).chain(files).collect();
        self.notes.extend(unused.iter().map(|what| format!("WARNING: {what} has no effect with driver embedded")));
    }

    fn initialize(&self, reason: String) -> BuildersError {
        let node = self.node.to_lowercase();
        BuildersError::Initialize { name: self.group.name.clone(), node, reason }
    }
}

/// Platforms from repeated flags of comma lists, each once; `local` is this machine.
fn platforms(words: &[String]) -> Result<Vec<Platform>, BuildersError> {
    let host = Platform::host();
    let mut platforms = Vec::new();
    for word in words.iter().flat_map(|word| word.split(',')).filter(|word| !word.trim().is_empty()) {
        let platform = Platform::parse_on(word, &host)?.normalized();
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}

/// As Go escapes values of a query.
fn query_escape(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
