//! In: pairs of files under `testdata/fileop`. Out: whether the layers are as expected. Never: a case without an expectation; `UPDATE=1` writes it.

mod fixture;
mod laws;
mod traps;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossdock_dockerfile::ignore::Patterns;
use crossdock_llb::FileOp;
use crossdock_snapshot::Tree;

use super::{FileError, LayerPlan, PatternSet, PlanOptions, UnknownOwner, plan, write};
use fixture::{MemoryTree, NOW};

impl PatternSet for Patterns {
    fn matches(&self, path: &[u8]) -> bool {
        self.is_ignored(path)
    }

    fn has_exceptions(&self) -> bool {
        self.has_exceptions()
    }
}

fn compile(patterns: &[String]) -> Result<Box<dyn PatternSet>, String> {
    match Patterns::of_copy(patterns) {
        Ok(patterns) => Ok(Box::new(patterns)),
        Err(error) => Err(error.to_string()),
    }
}

/// Plans with fixed surroundings.
fn plan_op(op: &FileOp, inputs: &[Arc<dyn Tree>]) -> Result<LayerPlan, FileError> {
    let spool = || tempfile::tempfile().map(|file| fs_err::File::from_parts(file, "spool"));
    let options = PlanOptions { now: NOW, unknown_owner: UnknownOwner::Refuse, patterns: &compile, spool: &spool };
    plan(op, 0, inputs, &options)
}

/// The layer as a tar.
fn layer_of(op: &FileOp, inputs: &[Arc<dyn Tree>]) -> Result<Vec<u8>, FileError> {
    let plan = plan_op(op, inputs)?;
    let mut tar = Vec::new();
    let written = write(&plan, &mut tar)?;
    assert_eq!(written.size_bytes, tar.len() as u64);
    assert_eq!(written.diff_id, crossdock_oci::DiffId::of(&tar));
    let scanned = crossdock_snapshot::listing::from_tar(&mut tar.as_slice()).unwrap();
    assert_eq!(written.listing, scanned.listing, "the listing made on the way is the one of the tar");
    Ok(tar)
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fileop")
}

#[derive(serde::Deserialize)]
struct Case {
    /// Names of files in `trees/`, in the order of the op's inputs.
    inputs: Vec<String>,
    op: FileOp,
}

fn run_case(dir: &Path) -> String {
    let case: Case = serde_json::from_slice(&fs_err::read(dir.join("op.json")).unwrap()).unwrap();
    let inputs: Vec<Arc<dyn Tree>> = case
        .inputs
        .iter()
        .map(|name| {
            let text = fs_err::read_to_string(testdata().join("trees").join(format!("{name}.txt"))).unwrap();
            Arc::new(MemoryTree::parse(&text)) as Arc<dyn Tree>
        })
        .collect();
    match layer_of(&case.op, &inputs) {
        Ok(tar) => fixture::describe(&tar),
        Err(error) => format!("error: {error}\n"),
    }
}

#[test]
fn layers_are_as_expected() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut dirs: Vec<PathBuf> = fs_err::read_dir(testdata())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("op.json").exists())
        .collect();
    dirs.sort();
    assert!(dirs.len() >= 40, "only {} cases", dirs.len());
    let mut wrong = Vec::new();
    for dir in &dirs {
        let got = run_case(dir);
        let expected = dir.join("expected.txt");
        if update {
            fs_err::write(&expected, &got).unwrap();
        } else if fs_err::read_to_string(&expected).unwrap_or_default() != got {
            wrong.push(format!("{}:\n{got}", dir.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} file op cases", dirs.len());
}
