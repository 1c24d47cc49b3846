//! In: a state directory and the host's settings. Out: what builds share: store, registry client, keeper, emulation. Never: anything of one build.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crossdock_content::{GcOptions, GcReport, Store};
use crossdock_emulation::Host;
use crossdock_executor::{Cancel, Keeper, KeeperOptions};
use crossdock_image::Images;
use crossdock_oci::Reference;
use crossdock_registry::Client;

use crate::BuildError;

/// Somebody else who may have an image: puts it into the local store when it has it, and tells whether it did.
pub type Elsewhere = dyn Fn(&Engine, &Reference) -> Result<bool, BuildError> + Send + Sync;

/// How an engine is opened.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The state directory.
    pub state: PathBuf,
}

/// The engine: cheap to clone, usable from many threads.
#[derive(Clone)]
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) client: Client,
    pub(crate) keeper: Keeper,
    host: Arc<OnceLock<Arc<Host>>>,
    elsewhere: Arc<OnceLock<Box<Elsewhere>>>,
    /// The end of every request to the keeper that belongs to no step.
    pub(crate) cancel: Cancel,
    /// The wish to stop, with what it has to stop: the solvers of running builds.
    pub(crate) stop: crossdock_solver::Cancel,
}

impl Engine {
    /// Opens the state directory; starts no process and no connection.
    ///
    /// # Errors
    /// When the directory or a configuration file cannot be used.
    pub fn open(options: &EngineOptions) -> Result<Self, BuildError> {
        let store = Store::open(&options.state)?;
        let client = Client::from_environment()?;
        let keeper = Keeper::new(KeeperOptions::new(&options.state));
        Ok(Self {
            store,
            client,
            keeper,
            host: Arc::default(),
            elsewhere: Arc::default(),
            cancel: Cancel::new(),
            stop: crossdock_solver::Cancel::new(),
        })
    }

    /// The content store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The registry client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The process with the rights to handle files of other ids.
    pub const fn keeper(&self) -> &Keeper {
        &self.keeper
    }

    /// The wish to stop that ends requests to the keeper with everything else.
    pub const fn stopping(&self) -> &Cancel {
        &self.cancel
    }

    /// The local image store.
    pub fn images(&self) -> Images {
        Images::new(&self.store)
    }

    /// From now on somebody else is asked for base images that neither the local store nor a registry gives.
    pub fn ask_also(&self, elsewhere: Box<Elsewhere>) {
        // Who was named first is asked.
        let _ = self.elsewhere.set(elsewhere);
    }

    /// Asks who was named by [`Engine::ask_also`]; whether the image is in the local store now.
    pub(crate) fn found_elsewhere(&self, reference: &Reference) -> Result<bool, BuildError> {
        self.elsewhere.get().map_or(Ok(false), |elsewhere| elsewhere(self, reference))
    }

    /// What this machine can run; probed at first use.
    pub fn host(&self) -> Arc<Host> {
        Arc::clone(self.host.get_or_init(|| Arc::new(Host::probe())))
    }

    /// Ends everything this engine is doing; called by the handler of Ctrl-C.
    pub fn cancel(&self) {
        self.stop.cancel();
        self.client.cancel();
        self.cancel.cancel();
    }

    /// Whether [`Engine::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// Removes what the options say, and everything nothing needs any more.
    ///
    /// # Errors
    /// Those of the store. A snapshot that cannot be removed stays for the next collection.
    pub fn prune(&self, options: &GcOptions) -> Result<GcReport, BuildError> {
        let root = self.store.snapshot_root();
        let mut remove = |id: &str| -> std::io::Result<()> {
            let path = root.join(id);
            if !path.exists() {
                return Ok(());
            }
            self.keeper.remove(&path, &self.cancel).map_err(|error| std::io::Error::other(error.to_string()))
        };
        if options.cache {
            // Stat indexes only save time; one that cannot be removed is no failure.
            let _ = fs_err::remove_dir_all(crate::locals::indexes(&self.store));
            crossdock_source::git::Git::clear(&crate::sources::git_root(&self.store));
            crate::mounts::remove_caches(&self.store, &self.keeper, &self.cancel)?;
        }
        Ok(self.store.gc(options, &mut remove)?)
    }
}
