//! In: random sequences of ingest, link, unlink, lease and collection. Out: proof that what is reachable stays and all else goes. Never: a look at how the store decides.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "all of this file is a test")]

use std::collections::{BTreeMap, BTreeSet};

use crossdock_content::{GcOptions, Lease, Link, Space, Store};
use crossdock_oci::BlobDigest;
use fs_err as fs;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{proptest, test_runner::Config};

const BLOBS: u8 = 6;
const KEYS: u8 = 4;

#[derive(Debug, Clone)]
enum Step {
    Ingest(u8),
    Layer { key: u8, blobs: Vec<u8>, layers: Vec<u8> },
    Root { space: Space, key: u8, blobs: Vec<u8>, layers: Vec<u8> },
    Unlink { space: Space, key: u8 },
    Touch { space: Space, key: u8 },
    Ask(u8),
    BeginLease,
    EndLease(u8),
    Collect { cache: bool, all: bool },
    Reopen,
}

fn root_space() -> impl Strategy<Value = Space> {
    prop_oneof![Just(Space::Image), Just(Space::Record), Just(Space::Recipe)]
}

fn any_space() -> impl Strategy<Value = Space> {
    prop_oneof![root_space(), Just(Space::Layer)]
}

fn step() -> impl Strategy<Value = Step> {
    let some = |below: u8| proptest::collection::vec(0..below, 0..3);
    prop_oneof![
        4 => (0..BLOBS).prop_map(Step::Ingest),
        3 => (0..KEYS, some(BLOBS), some(KEYS)).prop_map(|(key, blobs, layers)| Step::Layer { key, blobs, layers }),
        3 => (root_space(), 0..KEYS, some(BLOBS), some(KEYS))
            .prop_map(|(space, key, blobs, layers)| Step::Root { space, key, blobs, layers }),
        3 => (any_space(), 0..KEYS).prop_map(|(space, key)| Step::Unlink { space, key }),
        1 => (any_space(), 0..KEYS).prop_map(|(space, key)| Step::Touch { space, key }),
        1 => (0..BLOBS).prop_map(Step::Ask),
        2 => Just(Step::BeginLease),
        2 => any::<u8>().prop_map(Step::EndLease),
        4 => (any::<bool>(), any::<bool>()).prop_map(|(cache, all)| Step::Collect { cache, all }),
        1 => Just(Step::Reopen),
    ]
}

fn bytes_of(blob: u8) -> Vec<u8> {
    vec![blob; 10 + usize::from(blob)]
}

fn digest_of(blob: u8) -> BlobDigest {
    BlobDigest::of(&bytes_of(blob))
}

/// When a row was used last, and the blobs and layers it links to.
type ModelRow = (usize, Vec<u8>, Vec<u8>);

/// What should be in the store, with the step in which each thing was used last.
#[derive(Default)]
struct Model {
    blobs: BTreeMap<u8, usize>,
    rows: BTreeMap<(Space, u8), ModelRow>,
    leases: Vec<(usize, Lease)>,
}

impl Model {
    fn collect(&mut self, cache: bool, all: bool) {
        let oldest = self.leases.iter().map(|(begun, _)| *begun).min().unwrap_or(usize::MAX);
        let mut blobs: BTreeSet<u8> = BTreeSet::new();
        let mut rows: BTreeSet<(Space, u8)> = BTreeSet::new();
        for (name, (used, ..)) in &self.rows {
            let by_kind = match name.0 {
                Space::Image => !all,
                Space::Layer => false,
                _ => !cache,
            };
            if by_kind || *used >= oldest {
                rows.insert(*name);
            }
        }
        blobs.extend(self.blobs.iter().filter(|(_, used)| **used >= oldest).map(|(blob, _)| *blob));
        loop {
            let before = (blobs.len(), rows.len());
            for name in rows.clone() {
                let (_, needed_blobs, needed_layers) = &self.rows[&name];
                blobs.extend(needed_blobs.iter().filter(|blob| self.blobs.contains_key(blob)));
                let layers = needed_layers.iter().map(|layer| (Space::Layer, *layer));
                rows.extend(layers.filter(|layer| self.rows.contains_key(layer)));
            }
            if before == (blobs.len(), rows.len()) {
                break;
            }
        }
        self.blobs.retain(|blob, _| blobs.contains(blob));
        self.rows.retain(|name, _| rows.contains(name));
    }

    /// Rows, blob rows and files are exactly these. Nothing is noted as used by looking.
    fn assert_same(&self, store: &Store) {
        let digests: BTreeSet<BlobDigest> = self.blobs.keys().map(|blob| digest_of(*blob)).collect();
        let stored: BTreeSet<BlobDigest> = store.blobs().unwrap().into_iter().map(|blob| blob.digest).collect();
        assert_eq!(stored, digests);
        let folder = store.root().join("blobs/sha256");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), digests.len());
        for blob in self.blobs.keys() {
            assert_eq!(fs::read(folder.join(digest_of(*blob).hex())).unwrap(), bytes_of(*blob));
        }
        for space in Space::ALL {
            let keys: Vec<String> = store.rows(space).unwrap().into_iter().map(|row| row.key).collect();
            let expected: Vec<String> =
                self.rows.keys().filter(|name| name.0 == space).map(|name| name.1.to_string()).collect();
            assert_eq!(keys, expected, "{space:?}");
        }
    }
}

fn links(blobs: &[u8], layers: &[u8]) -> Vec<Link> {
    let blobs = blobs.iter().map(|blob| Link::Blob(digest_of(*blob)));
    blobs.chain(layers.iter().map(|layer| Link::Row(Space::Layer, layer.to_string()))).collect()
}

fn run(steps: &[Step]) {
    let place = tempfile::tempdir().unwrap();
    let mut store = Store::open(place.path()).unwrap();
    let mut model = Model::default();
    for (now, step) in steps.iter().enumerate() {
        match step {
            Step::Ingest(blob) => {
                let lease = store.lease().unwrap();
                store.put(&lease, &bytes_of(*blob)).unwrap();
                model.blobs.insert(*blob, now);
            }
            Step::Layer { key, blobs, layers } => put(&store, &mut model, now, (Space::Layer, *key), blobs, layers),
            Step::Root { space, key, blobs, layers } => put(&store, &mut model, now, (*space, *key), blobs, layers),
            Step::Unlink { space, key } => {
                let removed = store.remove_row(*space, &key.to_string()).unwrap();
                assert_eq!(removed, model.rows.remove(&(*space, *key)).is_some());
            }
            Step::Touch { space, key } => {
                store.touch(*space, &[&key.to_string()]).unwrap();
                if let Some(row) = model.rows.get_mut(&(*space, *key)) {
                    row.0 = now;
                }
            }
            Step::Ask(blob) => {
                let is_there = store.has(digest_of(*blob)).unwrap();
                assert_eq!(is_there, model.blobs.contains_key(blob));
                // Asking counts as a use when a lease may need it.
                if is_there && !model.leases.is_empty() {
                    model.blobs.insert(*blob, now);
                }
            }
            Step::BeginLease => model.leases.push((now, store.lease().unwrap())),
            Step::EndLease(which) => {
                if !model.leases.is_empty() {
                    let index = usize::from(*which) % model.leases.len();
                    model.leases.remove(index);
                }
            }
            Step::Collect { cache, all } => {
                let options = GcOptions { cache: *cache, all: *all, ..GcOptions::default() };
                store.gc(&options, &mut |_| Ok(())).unwrap();
                model.collect(*cache, *all);
                model.assert_same(&store);
            }
            Step::Reopen => {
                model.leases.clear();
                drop(store);
                store = Store::open(place.path()).unwrap();
            }
        }
    }
    finish(&store, model);
}

fn put(store: &Store, model: &mut Model, now: usize, name: (Space, u8), blobs: &[u8], layers: &[u8]) {
    store.put_row(name.0, &name.1.to_string(), b"value", &links(blobs, layers)).unwrap();
    model.rows.insert(name, (now, blobs.to_vec(), layers.to_vec()));
}

/// At the end everything reachable is readable through the front door, and the check agrees.
fn finish(store: &Store, mut model: Model) {
    model.leases.clear();
    store.gc(&GcOptions::default(), &mut |_| Ok(())).unwrap();
    model.collect(false, false);
    model.assert_same(store);
    for blob in 0..BLOBS {
        let read = store.read(digest_of(blob), 1000).unwrap();
        assert_eq!(read.map(|bytes| bytes.to_vec()), model.blobs.get(&blob).map(|_| bytes_of(blob)));
    }
    let report = store.check().unwrap();
    assert!(report.is_clean() && report.leftovers.is_empty(), "{}", report.lines().join("\n"));
}

proptest! {
    #![proptest_config(Config { cases: 32, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_reachable_is_readable_and_all_else_is_gone(steps in proptest::collection::vec(step(), 1..60)) {
        run(&steps);
    }
}
