//! In: stacks of layers. Out: each as one tree, from listings alone where only metadata is asked. Never: a download when the listing is stored.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};

use crossdock_content::{Lease, Store};
use crossdock_executor::keeper::{Layers as Directories, ReadFileRequest, WalkRequest};
use crossdock_executor::{Cancel, HostPath, Keeper};
use crossdock_image::{LayerBlob, LayerId, LayerRow, Layers};
use crossdock_oci::media_type::Compression;
use crossdock_snapshot::listing::{Listing, from_tar};
use crossdock_snapshot::path::RootedPath;
use crossdock_snapshot::tree::{ContentOpener, EmptyTree, LayeredTree, Tree, TreeError};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

use crate::BuildError;
use crate::fetch::{Fetcher, ShownAt};
use crate::flight::Flights;
use crate::perform::locked;
use crate::unpack::Unpacker;

/// Largest encoded listing that is read, in bytes.
const LISTING_BYTES_MAX: u64 = 1 << 30;

/// What trees are made from.
pub struct Trees {
    store: Store,
    lease: Lease,
    layers: Layers,
    keeper: Keeper,
    fetcher: Arc<Fetcher>,
    unpacker: Arc<Unpacker>,
    cancel: Cancel,
    listings: Mutex<HashMap<LayerId, Arc<Listing>>>,
    stacks: Mutex<HashMap<Vec<LayerId>, Arc<dyn Tree>>>,
    flights: Flights,
}

impl Trees {
    /// Trees over the layers of a store.
    pub fn new(
        store: &Store,
        lease: &Lease,
        keeper: &Keeper,
        fetcher: &Arc<Fetcher>,
        unpacker: &Arc<Unpacker>,
        cancel: &Cancel,
    ) -> Self {
        Self {
            store: store.clone(),
            lease: lease.clone(),
            layers: Layers::new(store),
            keeper: keeper.clone(),
            fetcher: Arc::clone(fetcher),
            unpacker: Arc::clone(unpacker),
            cancel: cancel.clone(),
            listings: Mutex::default(),
            stacks: Mutex::default(),
            flights: Flights::default(),
        }
    }

    /// The merged tree of a stack.
    ///
    /// # Errors
    /// When a layer's listing is not stored and the layer cannot be had.
    pub fn of(
        self: &Arc<Self>,
        stack: &[LayerId],
        shown: &dyn Fn(&LayerId) -> ShownAt,
    ) -> Result<Arc<dyn Tree>, BuildError> {
        if stack.is_empty() {
            return Ok(Arc::new(EmptyTree));
        }
        if let Some(tree) = locked(&self.stacks).get(stack) {
            return Ok(Arc::clone(tree));
        }
        let tree: Arc<dyn Tree> = Arc::new(self.merged(stack, shown)?);
        locked(&self.stacks).insert(stack.to_vec(), Arc::clone(&tree));
        Ok(tree)
    }

    /// The merge of a stack's listings. Where they leave a layer in doubt, that one is unpacked and listed as it is then.
    fn merged(
        self: &Arc<Self>,
        stack: &[LayerId],
        shown: &dyn Fn(&LayerId) -> ShownAt,
    ) -> Result<LayeredTree, BuildError> {
        let mut listings =
            (0..stack.len()).map(|at| self.listing(&stack[..=at], shown)).collect::<Result<Vec<_>, _>>()?;
        let mut unpacked = vec![false; stack.len()];
        loop {
            let opener = Opener { trees: Arc::downgrade(self), stack: stack.to_vec(), listings: listings.clone() };
            match LayeredTree::exact(listings.clone(), Box::new(opener)) {
                Err(TreeError::InDoubt { layer }) if !unpacked[layer] => {
                    unpacked[layer] = true;
                    let directories =
                        self.unpacker.directories(&stack[..=layer], &self.fetcher, shown, &self.cancel)?;
                    let gone = || BuildError::LayerGone { layer: stack[layer].to_string() };
                    let top = directories.0.last().ok_or_else(gone)?;
                    listings[layer] = Arc::new(Listing::decode(&self.walk(top.as_path())?)?);
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// The listing of a stack's topmost layer.
    fn listing(&self, stack: &[LayerId], shown: &dyn Fn(&LayerId) -> ShownAt) -> Result<Arc<Listing>, BuildError> {
        let id = &stack[stack.len() - 1];
        if let Some(listing) = locked(&self.listings).get(id) {
            return Ok(Arc::clone(listing));
        }
        self.flights.alone(id.as_str(), || {
            if let Some(listing) = locked(&self.listings).get(id) {
                return Ok(Arc::clone(listing));
            }
            let row = self.layers.get(id)?.ok_or_else(|| BuildError::LayerGone { layer: id.to_string() })?;
            let listing = match self.stored(&row)? {
                Some(listing) => listing,
                None => self.make(&row, stack, &shown(id))?,
            };
            let listing = Arc::new(listing);
            locked(&self.listings).insert(id.clone(), Arc::clone(&listing));
            Ok(listing)
        })
    }

    /// The listing of a layer, when nothing has to be fetched or read for it.
    pub(crate) fn known(&self, id: &LayerId) -> Result<Option<Arc<Listing>>, BuildError> {
        if let Some(listing) = locked(&self.listings).get(id) {
            return Ok(Some(Arc::clone(listing)));
        }
        let Some(row) = self.layers.get(id)? else { return Ok(None) };
        Ok(self.stored(&row)?.map(Arc::new))
    }

    /// The stored listing; one of an older version, or a damaged one, counts as none.
    fn stored(&self, row: &LayerRow) -> Result<Option<Listing>, BuildError> {
        let Some(digest) = row.listing else { return Ok(None) };
        let bytes = self.store.read(digest, LISTING_BYTES_MAX)?;
        Ok(bytes.and_then(|bytes| Listing::decode(&bytes).ok()))
    }

    fn make(&self, row: &LayerRow, stack: &[LayerId], shown: &ShownAt) -> Result<Listing, BuildError> {
        let encoded = match self.unpacker.has(stack)? {
            Some(directory) if row.blobs.is_empty() => self.walk(&directory)?,
            _ => {
                let blob = self.fetcher.any_blob(row, shown)?;
                match self.scan(row, &blob) {
                    // The bytes are checked while they are listed: damaged ones are dropped and asked for once more.
                    Err(_) if self.fetcher.drop_damaged(&blob)? => {
                        let fresh = self
                            .fetcher
                            .any_blob(row, shown)
                            .map_err(|_| BuildError::BlobDamaged { digest: blob.digest })?;
                        self.scan(row, &fresh)?
                    }
                    outcome => outcome?,
                }
            }
        };
        let listing = Listing::decode(&encoded)?;
        let digest = self.store.put(&self.lease, &encoded)?;
        self.layers.update(&row.id, || row.clone(), |row| row.listing = Some(digest))?;
        Ok(listing)
    }

    /// The encoded listing of a stored blob, whose tar must be the layer's.
    fn scan(&self, row: &LayerRow, blob: &LayerBlob) -> Result<Vec<u8>, BuildError> {
        let stored = self
            .store
            .open_blob(blob.digest)?
            .ok_or_else(|| BuildError::LayerGone { layer: blob.digest.to_string() })?;
        let failed = |source| BuildError::Io { path: blob.digest.to_string(), source };
        let tar = crossdock_snapshot::compression::decoder(Box::new(stored.file)).map_err(failed)?;
        let scan = from_tar(tar)?;
        match row.diff_id {
            Some(want) if want != scan.diff_id => Err(BuildError::DiffMismatch {
                layer: blob.digest.to_string(),
                want: want.to_string(),
                got: scan.diff_id.to_string(),
            }),
            _ => Ok(scan.listing.encode()),
        }
    }

    /// The encoded listing of what a process left; its files may belong to ids only the keeper has.
    fn walk(&self, directory: &Path) -> Result<Vec<u8>, BuildError> {
        let failed = |source| BuildError::Io { path: "a pipe for a listing".to_owned(), source };
        let (mut reader, writer) = io::pipe().map_err(failed)?;
        let request = WalkRequest { directory: HostPath::from(directory) };
        std::thread::scope(|scope| {
            let (keeper, cancel) = (&self.keeper, &self.cancel);
            let walk = scope.spawn(move || {
                let writer = std::os::fd::OwnedFd::from(writer);
                keeper.walk(&request, &writer, cancel)
            });
            let mut bytes = Vec::new();
            let read = reader.read_to_end(&mut bytes);
            walk.join().unwrap_or(Err(crossdock_executor::ExecutorError::Cancelled))?;
            read.map_err(failed)?;
            Ok(bytes)
        })
    }

    /// The bytes of a file of a layer.
    fn open(
        &self,
        stack: &[LayerId],
        listing: &Listing,
        path: &RootedPath,
    ) -> Result<Box<dyn Read + Send>, BuildError> {
        if let Some(bytes) = listing.inline(path) {
            return Ok(Box::new(io::Cursor::new(bytes.to_vec())));
        }
        let id = &stack[stack.len() - 1];
        let row = self.layers.get(id)?.ok_or_else(|| BuildError::LayerGone { layer: id.to_string() })?;
        if let Some(file) = self.open_in_tar(&row, listing, path)? {
            return Ok(file);
        }
        let directories = self.unpacker.directories(stack, &self.fetcher, &|_| ShownAt::nowhere(), &self.cancel)?;
        let top = directories.0.last().ok_or_else(|| BuildError::LayerGone { layer: id.to_string() })?;
        self.open_in_directory(top, path)
    }

    /// From the uncompressed tar, when it is stored: by its offset.
    fn open_in_tar(
        &self,
        row: &LayerRow,
        listing: &Listing,
        path: &RootedPath,
    ) -> Result<Option<Box<dyn Read + Send>>, BuildError> {
        let Some(entry) = listing.get(path) else { return Ok(None) };
        let Some(offset) = entry.data_offset else { return Ok(None) };
        for blob in row.blobs.iter().filter(|blob| blob.compression() == Some(Compression::Uncompressed)) {
            if let Some(mut stored) = self.store.open_blob(blob.digest)? {
                stored
                    .file
                    .seek(SeekFrom::Start(offset))
                    .map_err(|source| BuildError::Io { path: blob.digest.to_string(), source })?;
                return Ok(Some(Box::new(stored.file.take(entry.entry.size_bytes()))));
            }
        }
        Ok(None)
    }

    /// From an unpacked layer: directly where we may, else through the keeper.
    fn open_in_directory(&self, directory: &HostPath, path: &RootedPath) -> Result<Box<dyn Read + Send>, BuildError> {
        let failed = |source: io::Error| BuildError::Io { path: path.to_string(), source };
        let root = rustix::fs::openat(
            CWD,
            directory.as_path(),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let root = root.map_err(|errno| failed(errno.into()))?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match openat2(&root, path.as_path(), flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
            Ok(descriptor) => Ok(Box::new(File::from(descriptor))),
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                let request = ReadFileRequest { layers: Directories(vec![directory.clone()]), path: path.to_string() };
                let file = self.keeper.read_file(&request, &self.cancel)?;
                Ok(Box::new(file.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?))
            }
            Err(errno) => Err(failed(errno.into())),
        }
    }
}

/// Opens contents for a tree of layers. `Trees` keeps the trees it made, so they must not keep it: with it the build's keeper and lease would stay.
struct Opener {
    trees: Weak<Trees>,
    stack: Vec<LayerId>,
    listings: Vec<Arc<Listing>>,
}

impl ContentOpener for Opener {
    fn open(&self, layer_index: usize, path: &RootedPath) -> io::Result<Box<dyn Read + Send>> {
        let trees = self.trees.upgrade().ok_or_else(|| io::Error::other("the build that made this tree is over"))?;
        trees.open(&self.stack[..=layer_index], &self.listings[layer_index], path).map_err(|error| match error {
            BuildError::Io { source, .. } => source,
            other => io::Error::other(other),
        })
    }
}
