//! In: JSON of a builder's file. Out: a builder with its nodes, changed as buildx changes it, and the JSON again. Never: a field lost that a newer buildx wrote.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossdock_oci::Platform;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::BuildersError;
use crate::name;

/// How a builder's nodes are started and reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// This program itself.
    Embedded,
    /// The engine of a Docker context; results are loaded into it.
    Docker,
    DockerContainer,
    Kubernetes,
    Remote,
    /// One of a buildx newer than this.
    Other(String),
}

impl Driver {
    /// The driver of this name.
    pub fn named(name: &str) -> Self {
        match name {
            "embedded" => Self::Embedded,
            "docker" => Self::Docker,
            "docker-container" => Self::DockerContainer,
            "kubernetes" => Self::Kubernetes,
            "remote" => Self::Remote,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Embedded => "embedded",
            Self::Docker => "docker",
            Self::DockerContainer => "docker-container",
            Self::Kubernetes => "kubernetes",
            Self::Remote => "remote",
            Self::Other(name) => name,
        }
    }
}

/// A builder as its file has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Group {
    pub name: String,
    pub driver: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub nodes: Vec<Node>,
    pub dynamic: bool,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// One node of a builder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    pub name: String,
    pub endpoint: String,
    pub platforms: Option<Vec<StoredPlatform>>,
    pub driver_opts: Option<BTreeMap<String, String>>,
    pub flags: Option<Vec<String>>,
    /// Files for the daemon, in base64.
    pub files: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

/// A platform as buildx writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StoredPlatform {
    architecture: String,
    os: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    #[serde(flatten)]
    pub(crate) other: Map<String, Value>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Node>, D::Error> {
    Ok(Option::<Vec<Node>>::deserialize(from)?.unwrap_or_default())
}

impl From<&Platform> for StoredPlatform {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            other: Map::new(),
        }
    }
}

/// What `create` asks of one node.
#[derive(Debug, Clone, Default)]
pub struct NodeUpdate {
    pub node: String,
    pub endpoint: String,
    /// Whether the endpoint was named, and replaces that of a node that is there.
    pub endpoint_set: bool,
    pub platforms: Vec<Platform>,
    pub driver_opts: Option<BTreeMap<String, String>>,
    pub flags: Option<Vec<String>>,
    pub files: BTreeMap<String, Vec<u8>>,
    pub append: bool,
}

/// The node that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Updated {
    pub node: String,
    /// The node was there before: its daemon knows nothing of the change.
    pub needs_restart: bool,
}

impl Node {
    /// The platforms the node is for, before those it is found to have.
    pub fn fixed_platforms(&self) -> Vec<Platform> {
        let platform =
            |stored: &StoredPlatform| Platform::new(&stored.os, &stored.architecture, &stored.variant).normalized();
        self.platforms.iter().flatten().map(platform).collect()
    }

    /// The text of the files for the daemon, by name.
    pub fn file_texts(&self) -> Vec<(String, String)> {
        let text = |base64: &String| {
            STANDARD
                .decode(base64)
                .map_or_else(|_| base64.clone(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        self.files.iter().flatten().map(|(name, base64)| (name.clone(), text(base64))).collect()
    }
}

impl Group {
    /// A builder without nodes.
    pub fn new(name: &str, driver: &Driver) -> Self {
        Self { name: name.to_owned(), driver: driver.name().to_owned(), ..Self::default() }
    }

    /// Its driver.
    pub fn driver(&self) -> Driver {
        Driver::named(&self.driver)
    }

    /// Adds a node, or changes one.
    ///
    /// # Errors
    /// When a node of that name is neither there nor to be appended, or a name or endpoint occurs twice.
    pub fn update(&mut self, update: NodeUpdate) -> Result<Updated, BuildersError> {
        if self.dynamic {
            return Err(BuildersError::Dynamic);
        }
        let at = self.nodes.iter().position(|node| node.name == update.node);
        if at.is_none() && !update.append && !self.nodes.is_empty() {
            return Err(BuildersError::NodeUnknown(update.node));
        }
        let files = encode(&update.files);
        let platforms: Vec<StoredPlatform> = update.platforms.iter().map(StoredPlatform::from).collect();
        let Some(at) = at else {
            let name = if update.node.is_empty() { self.next_node_name() } else { update.node };
            let name = name::validate(&name)?;
            self.nodes.push(Node {
                name: name.clone(),
                endpoint: update.endpoint,
                platforms: (!platforms.is_empty()).then_some(platforms),
                driver_opts: update.driver_opts,
                flags: update.flags,
                files: (!files.is_empty()).then_some(files),
                other: Map::new(),
            });
            self.check(self.nodes.len() - 1)?;
            return Ok(Updated { node: name, needs_restart: false });
        };
        let node = &mut self.nodes[at];
        let needs_restart =
            update.endpoint_set || update.driver_opts.is_some() || update.flags.is_some() || !files.is_empty();
        if update.endpoint_set {
            node.endpoint = update.endpoint;
        }
        if !platforms.is_empty() {
            node.platforms = Some(platforms);
        }
        if update.flags.is_some() {
            node.flags = update.flags;
        }
        if update.driver_opts.is_some() {
            node.driver_opts = update.driver_opts;
        }
        if !files.is_empty() {
            node.files.get_or_insert_default().extend(files);
        }
        self.check(at)?;
        Ok(Updated { node: update.node, needs_restart })
    }

    /// Takes a node out.
    ///
    /// # Errors
    /// When it is the last, or not there.
    pub fn leave(&mut self, node: &str) -> Result<(), BuildersError> {
        let Some(at) = self.nodes.iter().position(|candidate| candidate.name == node) else {
            return Err(BuildersError::NodeMissing { name: self.name.clone(), node: node.to_owned() });
        };
        if self.nodes.len() == 1 {
            return Err(BuildersError::LastNode);
        }
        self.nodes.remove(at);
        Ok(())
    }

    /// The name the next node gets: that of the builder with the first free number.
    pub fn next_node_name(&self) -> String {
        let base = self.name.to_lowercase();
        let free = |name: &String| self.nodes.iter().all(|node| node.name != *name);
        (0..).map(|number| format!("{base}{number}")).find(free).expect("there are more numbers than nodes")
    }

    /// Names and endpoints once each; a platform belongs to the node that asked for it last.
    fn check(&mut self, changed: usize) -> Result<(), BuildersError> {
        let Node { name, endpoint, platforms, .. } = &self.nodes[changed];
        if self.nodes.iter().filter(|node| node.endpoint == *endpoint).count() > 1 {
            return Err(BuildersError::DuplicateEndpoint(endpoint.clone()));
        }
        if self.nodes.iter().filter(|node| node.name == *name).count() > 1 {
            return Err(BuildersError::DuplicateName(name.clone()));
        }
        let mine = platforms.clone().unwrap_or_default();
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if at == changed {
                continue;
            }
            let rest: Vec<_> = node.platforms.take().unwrap_or_default();
            let rest: Vec<_> = rest.into_iter().filter(|platform| !mine.contains(platform)).collect();
            node.platforms = (!rest.is_empty()).then_some(rest);
        }
        Ok(())
    }
}

fn encode(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    files.iter().map(|(name, bytes)| (name.clone(), STANDARD.encode(bytes))).collect()
}

#[cfg(test)]
mod tests;
