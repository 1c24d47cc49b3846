//! In: the project's Markdown files. Out: paths of the project they name that are not there. Never: a judgement of the words around them.

use std::path::Path;

use crate::Breach;

/// Folders whose paths are looked up.
const FOLDERS: [&str; 9] =
    ["bench/", "crates/", "docs/", "examples/", "fuzz/", "scripts/", "testdata/", "tests/", "xtask/"];
/// A part of a path that stands for others ends what is looked up.
const STANDS_FOR_OTHERS: [char; 5] = ['*', '{', '<', '…', ' '];

/// Checks the files in the root and in `docs`.
pub fn check(root: &Path) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut directories = vec![root.join("docs")];
    let mut files = markdown(root, &mut Vec::new());
    while let Some(directory) = directories.pop() {
        files.extend(markdown(&directory, &mut directories));
    }
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        for (at, line) in text.lines().enumerate() {
            for path in paths(line).filter(|path| !is_there(root, path)) {
                breaches.push(Breach::new(&file, at + 1, format!("{path} is not there")));
            }
        }
    }
    breaches
}

/// The Markdown files of a directory; its folders are added to `folders`.
fn markdown(directory: &Path, folders: &mut Vec<std::path::PathBuf>) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let (inner, files): (Vec<_>, Vec<_>) = entries.map(|entry| entry.path()).partition(|path| path.is_dir());
    folders.extend(inner);
    files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// What stands between backquotes and begins with a folder of the project.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
}

fn is_there(root: &Path, path: &str) -> bool {
    let fixed = path.split(STANDS_FOR_OTHERS).next().unwrap_or_default();
    if fixed.len() == path.len() {
        return root.join(path).exists();
    }
    // `tests/articles/00*.sh`: the folder is there, and something in it begins so.
    let (folder, start) = fixed.rsplit_once('/').unwrap_or((fixed, ""));
    let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten().filter_map(Result::ok);
    entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_in_quotes() {
        let line = "as `tests/e2e/lib.sh` and `cargo run`; tests/none; `crates/engine`";
        assert_eq!(paths(line).collect::<Vec<_>>(), ["tests/e2e/lib.sh", "crates/engine"]);
    }

    #[test]
    fn what_is_there_is_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for path in ["xtask/src/docs.rs", "xtask/src", "xtask/src/*.rs", "xtask/src/do{cs,gs}.rs"] {
            assert!(is_there(root, path), "{path}");
        }
        for path in ["xtask/none", "xtask/src/no*.rs"] {
            assert!(!is_there(root, path), "{path}");
        }
    }
}
