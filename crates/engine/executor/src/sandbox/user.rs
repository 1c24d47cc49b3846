//! In: a user string, the texts of the root's /etc/passwd and /etc/group. Out: ids, groups and home. Never: the host's own users.
//!
//! The rules are those of BuildKit, which uses moby's user library: two numbers are taken as they are, a number alone gets the group of its passwd
//! line, a name must be found, and a user found by name or number gets the groups that list him (spec/engine.md §3).

use crate::error::ExecutorError;

/// The highest id accepted.
const ID_MAX: u64 = i32::MAX as u64;

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups; the primary one is among them.
    pub(super) groups: Vec<u32>,
    /// The home directory of the passwd line, else `/`.
    pub(super) home: String,
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// Looks a user string up. Empty means root.
///
/// # Errors
/// `NoSuchId` for names that are not there, `IdOutOfRange`.
pub(super) fn resolve(user: &str, passwd: &str, group: &str) -> Result<Identity, ExecutorError> {
    let by_default = user.is_empty();
    let (user_word, group_word) = user.split_once(':').unwrap_or((user, ""));
    let user_word = if user_word.is_empty() { "0" } else { user_word };
    let user_id = number("user", user_word)?;
    let group_id = number("group", group_word)?;
    let found = users(passwd).find(|line| user_id.map_or(line.name == user_word, |id| line.uid == id));
    let (uid, own_gid) = match (&found, user_id) {
        (Some(line), _) => (line.uid, line.gid),
        (None, Some(id)) => (id, 0),
        (None, None) => return Err(missing("user", user_word, "passwd")),
    };
    let home = found.as_ref().map_or("/", |line| if line.home.is_empty() { "/" } else { line.home }).to_owned();
    // Both as numbers: nobody asks who that is, and there are no further groups.
    let plain_numbers = user_id.is_some() && group_id.is_some();
    let (gid, mut groups) = if group_word.is_empty() {
        let groups = match &found {
            Some(line) => groups(group)
                .filter(|(_, _, members)| members.split(',').any(|member| member == line.name))
                .map(|(_, gid, _)| gid)
                .collect(),
            None => Vec::new(),
        };
        (own_gid, groups)
    } else if plain_numbers {
        (group_id.unwrap_or_default(), Vec::new())
    } else {
        let named = groups(group)
            .find(|(name, gid, _)| group_id.map_or(*name == group_word, |id| *gid == id))
            .map(|(_, gid, _)| gid);
        (named.or(group_id).ok_or_else(|| missing("group", group_word, "group"))?, Vec::new())
    };
    debug_assert!(!by_default || uid == 0, "no user means root");
    // A process whose groups lack the primary one could pass checks meant to keep that group out (CVE-2022-36109).
    if !groups.contains(&gid) {
        groups.insert(0, gid);
    }
    Ok(Identity { uid, gid, groups, home })
}

/// A word as an id; `None` when it is a name or empty.
fn number(kind: &str, word: &str) -> Result<Option<u32>, ExecutorError> {
    match word.parse::<u64>() {
        Ok(id) if id > ID_MAX => Err(ExecutorError::IdOutOfRange {
            kind: kind.to_owned(),
            id,
            why: format!("uids and gids must be in range 0-{ID_MAX}"),
        }),
        Ok(id) => Ok(u32::try_from(id).ok()),
        Err(_) => Ok(None),
    }
}

fn missing(kind: &str, name: &str, file: &str) -> ExecutorError {
    ExecutorError::NoSuchId { kind: kind.to_owned(), name: name.to_owned(), file: file.to_owned() }
}

/// The lines of a passwd file that can be read; others do not count.
fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { name, uid, gid, home: fields.nth(1).unwrap_or_default() })
    })
}

/// Name, id and members of the lines of a group file.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/sh\nbad line\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nbin:x:2:2::/bin:/bin/sh\n";
    const GROUP: &str = "root:x:0:root\nwheel:x:10:root,ann\nann:x:1001:\nstaff:x:50:ann\n";

    #[test]
    fn users_resolve_as_docker_does() {
        let rows: [(&str, u32, u32, &[u32], &str); 8] = [
            ("", 0, 0, &[0, 10], "/root"),
            ("root", 0, 0, &[0, 10], "/root"),
            ("ann", 1000, 1001, &[1001, 10, 50], "/home/ann"),
            ("1000", 1000, 1001, &[1001, 10, 50], "/home/ann"),
            ("ann:staff", 1000, 50, &[50], "/home/ann"),
            ("1234", 1234, 0, &[0], "/"),
            ("1234:4321", 1234, 4321, &[4321], "/"),
            ("ann:77", 1000, 77, &[77], "/home/ann"),
        ];
        for (user, uid, gid, groups, home) in rows {
            let wanted = Identity { uid, gid, groups: groups.to_vec(), home: home.to_owned() };
            assert_eq!(resolve(user, PASSWD, GROUP).unwrap(), wanted, "{user:?}");
        }
    }

    #[test]
    fn images_without_users_have_root() {
        assert_eq!(resolve("", "", "").unwrap(), Identity { uid: 0, gid: 0, groups: vec![0], home: "/".to_owned() });
    }

    #[test]
    fn unknown_names_and_absurd_numbers_are_refused() {
        assert_eq!(
            resolve("bob", PASSWD, GROUP).unwrap_err().to_string(),
            "unable to find user bob: no matching entries in passwd file"
        );
        assert_eq!(
            resolve("ann:crew", PASSWD, GROUP).unwrap_err().to_string(),
            "unable to find group crew: no matching entries in group file"
        );
        assert!(matches!(resolve("4294967296", PASSWD, GROUP), Err(ExecutorError::IdOutOfRange { .. })));
    }
}
