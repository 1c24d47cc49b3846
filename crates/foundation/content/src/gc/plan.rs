//! In: roots, links, leases and ages, as plain values. Out: what nothing needs any more. Never: I/O.

use crate::Space;

/// A blob or a row, as far as collection cares.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The counter's value at the last write or use.
    pub(crate) lease: u64,
    /// Seconds since 1970 of the last write or use.
    pub(crate) used_unix_s: i64,
    /// Indices of the nodes it needs. What it needs but is not there has none.
    pub(crate) links: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Blob,
    /// An image; whether it has a name.
    Image {
        tagged: bool,
    },
    /// A row of any other kind.
    Row(Space),
    /// A row of a kind that only a newer version knows: never removed by this one.
    Unknown,
    /// A row that speaks of something that is gone: never kept, and it keeps nothing.
    Broken,
}

/// What may go besides what nothing needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) cache: bool,
    pub(crate) dangling_images: bool,
    pub(crate) all_images: bool,
    /// Caches and images used since then (seconds since 1970) stay.
    pub(crate) unless_used_since_unix_s: Option<i64>,
    /// The number of the oldest live lease: nodes that carry it or a larger one stay.
    pub(crate) oldest_lease: Option<u64>,
}

impl Policy {
    fn is_root(&self, node: &Node) -> bool {
        if node.kind == Kind::Broken {
            return false;
        }
        let covered = self.oldest_lease.is_some_and(|oldest| node.lease >= oldest);
        let recent = self.unless_used_since_unix_s.is_some_and(|since| node.used_unix_s >= since);
        let by_kind = match node.kind {
            Kind::Blob | Kind::Broken => false,
            Kind::Row(Space::Container) => true,
            Kind::Row(space) => space.is_cache() && (!self.cache || recent),
            Kind::Image { tagged: true } => !self.all_images || recent,
            Kind::Image { tagged: false } => !(self.all_images || self.dangling_images) || recent,
            Kind::Unknown => true,
        };
        covered || by_kind
    }
}

/// The indices of the nodes that neither are roots nor are needed by one, in rising order.
pub(crate) fn find_garbage(nodes: &[Node], policy: &Policy) -> Vec<usize> {
    let mut kept = vec![false; nodes.len()];
    let mut to_visit: Vec<usize> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        if policy.is_root(node) {
            kept[index] = true;
            to_visit.push(index);
        }
    }
    while let Some(index) = to_visit.pop() {
        for &needed in &nodes[index].links {
            if !kept[needed] && nodes[needed].kind != Kind::Broken {
                kept[needed] = true;
                to_visit.push(needed);
            }
        }
    }
    kept.iter().enumerate().filter(|(_, kept)| !**kept).map(|(index, _)| index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Policy = Policy {
        cache: false,
        dangling_images: false,
        all_images: false,
        unless_used_since_unix_s: None,
        oldest_lease: None,
    };

    fn node(kind: Kind, links: &[usize]) -> Node {
        Node { kind, lease: 5, used_unix_s: 100, links: links.to_vec() }
    }

    /// image → layer → blob; record → layer → snapshot; a blob alone; an untagged image → blob; a pin.
    fn graph() -> Vec<Node> {
        vec![
            node(Kind::Image { tagged: true }, &[1]),
            node(Kind::Row(Space::Layer), &[2]),
            node(Kind::Blob, &[]),
            node(Kind::Row(Space::Record), &[4]),
            node(Kind::Row(Space::Layer), &[5, 2]),
            node(Kind::Row(Space::Snapshot), &[]),
            node(Kind::Blob, &[]),
            node(Kind::Image { tagged: false }, &[8]),
            node(Kind::Blob, &[]),
            node(Kind::Row(Space::Pin), &[]),
        ]
    }

    #[test]
    fn only_what_nothing_needs_goes_by_default() {
        assert_eq!(find_garbage(&graph(), &NOTHING), [6]);
    }

    #[test]
    fn pruning_the_cache_leaves_what_images_need() {
        let policy = Policy { cache: true, ..NOTHING };
        assert_eq!(find_garbage(&graph(), &policy), [3, 4, 5, 6, 9]);
    }

    #[test]
    fn dangling_images_and_all_images() {
        assert_eq!(find_garbage(&graph(), &Policy { dangling_images: true, ..NOTHING }), [6, 7, 8]);
        assert_eq!(find_garbage(&graph(), &Policy { all_images: true, ..NOTHING }), [0, 1, 6, 7, 8]);
        let everything = Policy { all_images: true, cache: true, ..NOTHING };
        assert_eq!(find_garbage(&graph(), &everything), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_lease_covers_what_was_used_since_it_began_and_what_that_needs() {
        let everything = Policy { all_images: true, cache: true, ..NOTHING };
        let mut nodes = graph();
        nodes[4].lease = 9;
        let garbage = find_garbage(&nodes, &Policy { oldest_lease: Some(9), ..everything });
        assert_eq!(garbage, [0, 1, 3, 6, 7, 8, 9]);
        assert_eq!(find_garbage(&nodes, &Policy { oldest_lease: Some(5), ..everything }), [0_usize; 0]);
        assert_eq!(find_garbage(&nodes, &Policy { oldest_lease: Some(10), ..everything }).len(), 10);
    }

    #[test]
    fn age_spares_caches_and_images_but_no_orphan() {
        let everything = Policy { all_images: true, cache: true, ..NOTHING };
        let mut nodes = graph();
        nodes[9].used_unix_s = 99;
        let garbage = find_garbage(&nodes, &Policy { unless_used_since_unix_s: Some(100), ..everything });
        assert_eq!(garbage, [6, 9]);
    }

    #[test]
    fn broken_rows_go_even_when_needed_and_keep_nothing() {
        let mut nodes = graph();
        nodes[4].kind = Kind::Broken;
        let garbage = find_garbage(&nodes, &Policy { oldest_lease: Some(5), ..NOTHING });
        assert_eq!(garbage, [4]);
        assert_eq!(find_garbage(&nodes, &NOTHING), [4, 5, 6]);
    }

    #[test]
    fn circles_end_and_what_newer_versions_wrote_stays() {
        let nodes = vec![
            node(Kind::Row(Space::Layer), &[1]),
            node(Kind::Row(Space::Layer), &[0]),
            node(Kind::Unknown, &[3]),
            node(Kind::Row(Space::Listing), &[3]),
        ];
        assert_eq!(find_garbage(&nodes, &NOTHING), [0, 1]);
    }
}
