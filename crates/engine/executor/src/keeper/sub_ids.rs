//! In: /etc/subuid, /etc/subgid, the user. Out: the id ranges of the keeper's user namespace and the arguments that set them. Never: a call that sets them.

use std::path::PathBuf;

/// Ids of the host lent to a user: `start` and how many follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: u32,
    pub(crate) count: u32,
}

/// The ranges a file like /etc/subuid lends to a user, by name or number.
pub(super) fn ranges(text: &str, names: &[String], id: u32) -> Vec<Range> {
    let number = id.to_string();
    let lines = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let range = Range { start: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
        (range.count > 0 && (owner == number || names.iter().any(|name| name == owner))).then_some(range)
    });
    lines.collect()
}

/// How many ids a namespace with the user's own id and these ranges has.
pub(super) fn count(ranges: &[Range]) -> u32 {
    ranges.iter().fold(1_u32, |sum, range| sum.saturating_add(range.count))
}

/// The words after the process id that `newuidmap` and `newgidmap` take: our own id becomes 0, the ranges follow from 1.
pub(super) fn map_arguments(own: u32, ranges: &[Range]) -> Vec<String> {
    let mut words = vec!["0".to_owned(), own.to_string(), "1".to_owned()];
    let mut inside = 1_u32;
    for range in ranges {
        let count = range.count.min(u32::MAX - inside);
        words.extend([inside.to_string(), range.start.to_string(), count.to_string()]);
        inside = inside.saturating_add(count);
    }
    words
}

/// The ids that exist in a user namespace, from the text of its `uid_map` or `gid_map`.
pub(crate) fn inside_ranges(map: &str) -> Vec<Range> {
    let lines = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace();
        let start = numbers.next()?.parse().ok()?;
        Some(Range { start, count: numbers.nth(1)?.parse().ok()? })
    });
    lines.collect()
}

/// The number after the highest id of some ranges.
pub(crate) fn highest(ranges: &[Range]) -> u32 {
    ranges.iter().map(|range| range.start.saturating_add(range.count)).max().unwrap_or_default()
}

/// The map of a user namespace in which the same ids exist. Ranges stay apart: the kernel takes no map across two of the parent's.
pub(crate) fn identity_map(ranges: &[Range]) -> String {
    ranges.iter().map(|range| format!("{0} {0} {1}\n", range.start, range.count)).collect()
}

/// The names of a user id: from the text of /etc/passwd, else what the session says.
pub(super) fn user_names(passwd: &str, id: u32) -> Vec<String> {
    let mut names: Vec<String> = passwd
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.get(2)?.parse() == Ok(id)).then(|| fields[0].to_owned())
        })
        .collect();
    if names.is_empty() {
        // A directory service knows the user; newuidmap checks the claim.
        names.extend(std::env::var("USER").ok().filter(|name| !name.is_empty()));
    }
    names
}

/// Finds a tool along PATH and where distributions put set-uid tools.
pub(super) fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/bin", "/bin", "/usr/sbin", "/usr/local/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|file| file.is_absolute() && file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_number() {
        let text = "root:100000:65536\nann:165536:65536\n1001:300000:1000\nbad:x:1\nann:400000:10\n";
        let ann = ["ann".to_owned()];
        assert_eq!(
            ranges(text, &ann, 1000),
            [Range { start: 165_536, count: 65_536 }, Range { start: 400_000, count: 10 }]
        );
        assert_eq!(ranges(text, &[], 1001), [Range { start: 300_000, count: 1000 }]);
        assert!(ranges(text, &["bad".to_owned()], 7).is_empty());
    }

    #[test]
    fn the_map_is_gapless_from_our_own_id() {
        let ranges = [Range { start: 165_536, count: 65_536 }, Range { start: 400_000, count: 10 }];
        assert_eq!(map_arguments(1000, &ranges).join(" "), "0 1000 1 1 165536 65536 65537 400000 10");
        assert_eq!(count(&ranges), 65_547);
    }

    #[test]
    fn a_nested_map_is_the_same_ids() {
        let ranges = inside_ranges("         0       1000          1\n         1     100000      65536\n");
        assert_eq!(identity_map(&ranges), "0 0 1\n1 1 65536\n");
        assert_eq!(highest(&ranges), 65_537);
    }

    #[test]
    fn names_come_from_passwd() {
        assert_eq!(user_names("root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\n", 1000), ["ann"]);
    }
}
