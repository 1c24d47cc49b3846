//! In: rows and changes. Out: proof that they are kept together, listed in order and found again. Never: a test that needs root.

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    (place, store)
}

fn row<'a>(space: Space, key: &'a str, value: &'a [u8]) -> Row<'a> {
    Row { space, key, value, links: &[] }
}

#[test]
fn rows_are_found_replaced_and_removed() {
    let (_place, store) = store();
    assert_eq!(store.get(Space::Record, "k").unwrap(), None);
    store.put_row(Space::Record, "k", b"one", &[]).unwrap();
    store.put_row(Space::Pin, "k", b"other space", &[]).unwrap();
    store.put_row(Space::Record, "k", b"", &[]).unwrap();
    assert_eq!(store.get(Space::Record, "k").unwrap().as_deref(), Some(&b""[..]));
    assert!(store.remove_row(Space::Record, "k").unwrap());
    assert!(!store.remove_row(Space::Record, "k").unwrap());
    assert_eq!(store.get(Space::Record, "k").unwrap(), None);
    assert_eq!(store.get(Space::Pin, "k").unwrap().as_deref(), Some(&b"other space"[..]));
}

#[test]
fn every_space_has_its_own_number_and_comes_back() {
    let (_place, store) = store();
    let lease = store.lease().unwrap();
    for space in Space::ALL {
        assert_eq!(Space::from_number(space.number()), Some(space));
        let key = if space == Space::Snapshot { store.new_snapshot(&lease).unwrap() } else { "key".to_owned() };
        store.put_row(space, &key, space.noun().as_bytes(), &[]).unwrap();
        assert_eq!(store.scan(space).unwrap(), vec![(key, space.noun().as_bytes().to_vec())]);
    }
    assert_eq!(Space::from_number(BLOB_LINK), None);
}

#[test]
fn lists_are_sorted_by_key_and_carry_sizes_and_times() {
    let (_place, store) = store();
    let before = now_unix_s();
    store.put_rows(&[row(Space::Chunk, "b", b"22"), row(Space::Chunk, "a", b"1"), row(Space::Pin, "c", b"")]).unwrap();
    let keys: Vec<String> = store.scan(Space::Chunk).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["a", "b"]);
    let rows = store.rows(Space::Chunk).unwrap();
    assert_eq!(rows.iter().map(|row| row.value_bytes).collect::<Vec<_>>(), [1, 2]);
    assert!(rows.iter().all(|row| row.created_unix_s >= before && row.used_unix_s >= row.created_unix_s));
}

#[test]
fn changes_are_made_in_order_in_one_transaction() {
    let (_place, store) = store();
    store.put_row(Space::Image, "app:1", b"old", &[]).unwrap();
    let renamed = row(Space::Image, "app:2", b"old");
    let new = row(Space::Image, "app:1", b"new");
    store
        .apply(&[
            Change::Put(renamed),
            Change::Remove(Space::Image, "app:1"),
            Change::Put(new),
            Change::Touch(Space::Image, "nowhere"),
        ])
        .unwrap();
    let images = store.scan(Space::Image).unwrap();
    assert_eq!(images, [("app:1".to_owned(), b"new".to_vec()), ("app:2".to_owned(), b"old".to_vec())]);
    store.apply(&[]).unwrap();
}

#[test]
fn another_store_on_the_same_directory_sees_what_was_written() {
    let (place, store) = store();
    let other = Store::open(place.path()).unwrap();
    store.put_row(Space::Stat, "ctx", b"1", &[]).unwrap();
    assert_eq!(other.get(Space::Stat, "ctx").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn large_values_and_odd_keys_survive() {
    let (_place, store) = store();
    let value: Vec<u8> = (0..3_000_000_u32).map(|index| index as u8).collect();
    for key in ["", "a'b\"c", "ключ\n", &"x".repeat(5000)] {
        store.put_row(Space::Stat, key, &value, &[]).unwrap();
        assert_eq!(store.get(Space::Stat, key).unwrap().unwrap(), value);
    }
}

#[test]
fn many_threads_read_and_write_at_once() {
    let (_place, store) = store();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..50 {
                    let key = format!("{thread}-{number}");
                    store.put_row(Space::Record, &key, key.as_bytes(), &[]).unwrap();
                    assert_eq!(store.get(Space::Record, &key).unwrap().unwrap(), key.as_bytes());
                }
            });
        }
    });
    assert_eq!(store.scan(Space::Record).unwrap().len(), 400);
}
