//! In: a layer that is only elsewhere. Out: one of its blobs in the store. Never: a download of what is stored already.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;

use crossdock_content::{Lease, Store};
use crossdock_image::{LayerBlob, LayerRow};
use crossdock_oci::{Reference, VertexDigest};
use crossdock_progress::{Line, Progress};
use crossdock_registry::{Client, FETCHES_PER_REGISTRY_MAX};

use crate::BuildError;
use crate::flight::Flights;

/// Brings blobs of layers into the store.
pub struct Fetcher {
    store: Store,
    client: Client,
    lease: Lease,
    flights: Flights,
}

/// Where a download is shown.
#[derive(Debug, Clone)]
pub struct ShownAt {
    pub progress: Progress,
    pub vertex: VertexDigest,
}

impl ShownAt {
    /// Shown nowhere.
    pub fn nowhere() -> Self {
        Self { progress: Progress::silent(), vertex: VertexDigest::of(b"") }
    }
}

impl Fetcher {
    /// A fetcher into this store.
    pub fn new(store: &Store, client: &Client, lease: &Lease) -> Self {
        Self { store: store.clone(), client: client.clone(), lease: lease.clone(), flights: Flights::default() }
    }

    /// A blob of the layer that is in the store, fetched when none is.
    ///
    /// # Errors
    /// When no repository gives one of them.
    pub fn any_blob(&self, row: &LayerRow, shown: &ShownAt) -> Result<LayerBlob, BuildError> {
        for blob in &row.blobs {
            if self.store.has(blob.digest)? {
                return Ok(blob.clone());
            }
        }
        let mut last: Option<BuildError> = None;
        for blob in &row.blobs {
            match self.fetch(blob, shown) {
                Ok(()) => return Ok(blob.clone()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| BuildError::LayerGone { layer: row.id.to_string() }))
    }

    /// After a failure to read a stored blob: drops it when its bytes are not what its name says.
    ///
    /// # Errors
    /// Those of the store.
    pub fn drop_damaged(&self, blob: &LayerBlob) -> Result<bool, BuildError> {
        let Some(mut stored) = self.store.open_verified(blob.digest)? else { return Ok(false) };
        match std::io::copy(&mut stored, &mut std::io::sink()) {
            Ok(_) => Ok(false),
            Err(_) => {
                // Reading may have dropped it already.
                self.store.discard_blob(blob.digest)?;
                Ok(true)
            }
        }
    }

    /// Puts this very blob into the store.
    ///
    /// # Errors
    /// When no repository gives it.
    pub fn fetch(&self, blob: &LayerBlob, shown: &ShownAt) -> Result<(), BuildError> {
        self.flights.alone(&blob.digest.to_string(), || {
            if self.store.has(blob.digest)? {
                return Ok(());
            }
            let mut last = BuildError::LayerGone { layer: blob.digest.to_string() };
            for origin in &blob.origins {
                let Ok(name) = origin.parse::<Reference>() else { continue };
                match self.fetch_from(&name, blob, shown) {
                    Ok(()) => return Ok(()),
                    Err(error) => last = error,
                }
            }
            Err(last)
        })
    }

    fn fetch_from(&self, name: &Reference, blob: &LayerBlob, shown: &ShownAt) -> Result<(), BuildError> {
        let mut line = Line::begin(&shown.progress, shown.vertex, &blob.digest.to_string());
        let descriptor = blob.descriptor();
        let mut ingest = self.store.ingest(&self.lease)?;
        let mut seen = 0_u64;
        let mut report = |done: u64, total: u64| {
            // One event in a mebibyte is enough for any screen.
            if done == total || done - seen >= 1 << 20 {
                seen = done;
                line.update(done, total);
            }
        };
        self.client.fetch_blob(name, &descriptor, &mut ingest, &mut report)?;
        ingest.commit_expecting(&descriptor)?;
        line.done();
        Ok(())
    }

    /// Fetches what several layers lack, and tells of each how it went. Ends early when a layer cannot be had, or nobody listens any more.
    pub fn tell_of_each(
        &self,
        rows: &[(usize, LayerRow)],
        shown: &ShownAt,
        stop: &AtomicBool,
        tell: &[SyncSender<Result<(), BuildError>>],
    ) {
        let work = |at: usize| {
            let outcome = self.any_blob(&rows[at].1, shown).map(drop);
            let is_there = outcome.is_ok();
            let is_heard = tell[at].send(outcome).is_ok();
            if is_there && is_heard { Ok(()) } else { Err(BuildError::Cancelled) }
        };
        // The failures were told.
        let _ = a_few_at_a_time(rows.len(), stop, &work);
    }
}

/// Does `work` for every number below `count`, the first ones first, as many at a time as a registry is asked for blobs. After a failure, or when `stop`
/// is set, nothing more is begun.
///
/// # Errors
/// The failure of the smallest number.
pub fn a_few_at_a_time(
    count: usize,
    stop: &AtomicBool,
    work: &(dyn Fn(usize) -> Result<(), BuildError> + Sync),
) -> Result<(), BuildError> {
    let next = AtomicUsize::new(0);
    let take =
        || (!stop.load(Ordering::Relaxed)).then(|| next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < count);
    let results: Vec<Result<(), (usize, BuildError)>> = std::thread::scope(|scope| {
        let one = || {
            while let Some(at) = take() {
                work(at).map_err(|error| {
                    stop.store(true, Ordering::Relaxed);
                    (at, error)
                })?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..count.min(FETCHES_PER_REGISTRY_MAX)).map(|_| scope.spawn(one)).collect();
        let died = || Err((0, BuildError::ThreadDied { doing: "fetching layers" }));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| died())).collect()
    });
    match results.into_iter().filter_map(Result::err).min_by_key(|(at, _)| *at) {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}
