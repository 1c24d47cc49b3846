//! The state directory: rights, locks, what is in use.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::group::NodeUpdate;

const KEY: &str = "unix:///var/run/docker.sock";

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::at(dir.path().join("docker/buildx"));
    (dir, store)
}

fn group(name: &str, driver: &Driver) -> Group {
    let mut group = Group::new(name, driver);
    group.update(NodeUpdate { endpoint: format!("tcp://{name}:1"), ..NodeUpdate::default() }).unwrap();
    group
}

fn current(store: &Store, key: &str) -> Option<String> {
    store.look().unwrap().current(key).unwrap().map(|(_, group)| group.name)
}

#[test]
fn looking_makes_nothing() {
    let (dir, store) = store();
    let txn = store.look().unwrap();
    assert!(txn.groups().unwrap().is_empty() && txn.group("a").unwrap().is_none());
    assert!(txn.current(KEY).unwrap().is_none());
    drop(txn);
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn files_are_the_owners_alone_and_where_buildx_looks() {
    let (_dir, store) = store();
    let txn = store.change().unwrap();
    txn.save(&group("Rem", &Driver::Remote)).unwrap();
    txn.save(&group("mine", &Driver::Embedded)).unwrap();
    txn.touch(&group("Rem", &Driver::Remote)).unwrap();
    txn.set_current(KEY, "mine", false, true).unwrap();
    drop(txn);
    let id = store.node_id().unwrap();
    assert!(id.len() == 16 && id == store.node_id().unwrap(), "made once");
    let mode = |path: &str| fs_err::metadata(store.root().join(path)).unwrap().permissions().mode() & 0o777;
    let files = [
        ".lock",
        ".buildNodeID",
        "current",
        "instances/rem",
        "crossdock/instances/mine",
        "activity/Rem",
        "defaults/13c4025c96f36e94b348",
    ];
    for file in files {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    for dir in ["", "instances", "activity", "defaults", "crossdock", "crossdock/instances"] {
        assert_eq!(mode(dir), 0o700, "{dir}");
    }
    let text = fs_err::read_to_string(store.root().join("current")).unwrap();
    assert_eq!(text, r#"{"Key":"unix:///var/run/docker.sock","Name":"mine","Global":false}"#);
    let txn = store.look().unwrap();
    assert!(txn.last_activity(Side::Buildx, "Rem").unwrap().is_some());
    let names: Vec<String> = txn.groups().unwrap().into_iter().map(|found| found.unwrap().1.name).collect();
    assert_eq!(names, ["mine", "Rem"]);
}

#[test]
fn which_builder_is_in_use() {
    let (_dir, store) = store();
    let set = |key: &str, name: &str, global, default| {
        store.change().unwrap().set_current(key, name, global, default).unwrap();
    };
    for name in ["a", "b"] {
        store.change().unwrap().save(&group(name, &Driver::Remote)).unwrap();
    }
    set(KEY, "a", false, false);
    assert_eq!((current(&store, KEY), current(&store, "other")), (Some("a".into()), None));
    set(KEY, "b", true, false);
    assert_eq!(current(&store, "other"), Some("b".into()), "a global choice holds for every engine");
    set(KEY, "a", false, true);
    set("other", "b", false, false);
    assert_eq!(current(&store, KEY), Some("a".into()), "a default holds when current speaks of another engine");
    set(KEY, "ghost", false, true);
    assert_eq!(current(&store, KEY), None, "what is named and not there does not count");
    set(KEY, "", false, false);
    assert_eq!(current(&store, KEY), None);
}

#[test]
fn a_name_lives_on_one_side() {
    let (_dir, store) = store();
    let txn = store.change().unwrap();
    txn.save(&group("a", &Driver::Embedded)).unwrap();
    txn.save(&group("a", &Driver::Remote)).unwrap();
    assert_eq!(txn.group("A").unwrap().unwrap().0, Side::Buildx);
    assert!(!store.root().join("crossdock/instances/a").exists());
    txn.remove("a").unwrap();
    assert!(txn.group("a").unwrap().is_none() && !txn.exists("a"));
}

#[test]
fn broken_files_are_named() {
    let (_dir, store) = store();
    let txn = store.change().unwrap();
    txn.save(&group("good", &Driver::Remote)).unwrap();
    fs_err::write(store.root().join("instances/brk"), "{broken").unwrap();
    fs_err::write(store.root().join("instances/.tmp-x"), "").unwrap();
    let path = store.root().join("instances/brk").display().to_string();
    let error = txn.group("brk").unwrap_err().to_string();
    assert!(error.starts_with(&path) && error.contains("mend it or take it away"), "{error}");
    let groups = txn.groups().unwrap();
    assert!(matches!(&groups[..], [Err((name, _)), Ok(_)] if name == "brk"));
    fs_err::write(store.root().join("current"), "[1").unwrap();
    assert!(txn.current(KEY).unwrap_err().to_string().contains("buildx/current"));
}

#[test]
fn changes_wait_for_each_other() {
    let (_dir, store) = store();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for turn in 0..8 {
                    let txn = store.change().unwrap();
                    let (_, mut one) =
                        txn.group("one").unwrap().unwrap_or((Side::Buildx, Group::new("one", &Driver::Remote)));
                    let endpoint = format!("tcp://{thread}:{turn}");
                    one.update(NodeUpdate { endpoint, append: true, ..NodeUpdate::default() }).unwrap();
                    txn.save(&one).unwrap();
                }
            });
        }
    });
    assert_eq!(store.look().unwrap().group("one").unwrap().unwrap().1.nodes.len(), 64);
}

#[test]
fn where_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs_err::write(&file, "").unwrap();
    let store = Store::at(file.join("buildx"));
    assert!(store.look().unwrap().groups().unwrap().is_empty(), "looking is no writing");
    let error = store.change().unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()) && error.contains("set BUILDX_CONFIG"), "{error}");
}
