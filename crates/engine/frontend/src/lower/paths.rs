//! In: paths as instructions write them. Out: absolute clean paths of a root file system. Never: a path above the root.

use crossdock_llb::git_url;

/// The shortest name of an absolute path.
pub(super) fn clean(path: &str) -> String {
    format!("/{}", git_url::clean(path))
}

/// A path relative to a directory, or absolute by itself.
pub(super) fn absolute(directory: &str, path: &str) -> String {
    if path.starts_with('/') { clean(path) } else { clean(&format!("{directory}/{path}")) }
}

/// A working directory as images keep it: an absolute one as written, a relative one joined and clean.
pub(super) fn working_directory(directory: &str, path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { absolute(directory, path) }
}

/// A path as [`absolute`] gives it, for a destination, where a slash at the end says that it is a directory.
pub(super) fn destination(directory: &str, path: &str) -> String {
    let path = if path.is_empty() || path == "." { "./" } else { path };
    let mut cleaned = absolute(directory, path);
    if path.ends_with('/') && !cleaned.ends_with('/') {
        cleaned.push('/');
    } else if path.ends_with("/.") {
        if cleaned != "/" {
            cleaned.push('/');
        }
        cleaned.push('.');
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_and_keep_the_slash_that_means_a_directory() {
        assert_eq!(absolute("/a", "../../b//c/."), "/b/c");
        assert_eq!(absolute("/a", "/x/../y/"), "/y");
        assert_eq!(working_directory("/a", "/x/../y/"), "/x/../y/");
        assert_eq!(working_directory("/a/", "../y/"), "/y");
        let rows = [
            (".", "/w/"),
            ("", "/w/"),
            ("./", "/w/"),
            ("x", "/w/x"),
            ("x/", "/w/x/"),
            ("/x/", "/x/"),
            ("/", "/"),
            ("x/.", "/w/x/."),
            ("/.", "/."),
            ("..", "/"),
            ("/a/../b/", "/b/"),
        ];
        for (path, wanted) in rows {
            assert_eq!(destination("/w", path), wanted, "{path}");
        }
    }
}
