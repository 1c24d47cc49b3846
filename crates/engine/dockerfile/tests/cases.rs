//! In: `testdata/dockerfile/<case>/Dockerfile`. Out: `ast.txt` beside it, compared or, with UPDATE=1, written. Never: a case without both files.

#![allow(clippy::unwrap_used, reason = "a test file: clippy sees only functions marked as tests")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crossdock_dockerfile::check::findings_of_file;
use crossdock_dockerfile::{CheckConfig, DirectiveKey, Dockerfile, LineRange, excerpt};

/// Fewer cases than this mean that the folder was not found.
const CASES_MIN: usize = 60;

fn cases_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/dockerfile")
}

fn lines(range: LineRange) -> String {
    if range.first == range.last { range.first.to_string() } else { format!("{}-{}", range.first, range.last) }
}

/// One line for each thing the file says.
fn describe(bytes: &[u8]) -> String {
    let file = match Dockerfile::from_bytes(bytes) {
        Ok(file) => file,
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            let blamed: Vec<LineRange> = error.lines.into_iter().collect();
            let shown = excerpt::render("Dockerfile", &text, &blamed).unwrap_or_default();
            return format!("{shown}ERROR: {error}\n");
        }
    };
    let mut out = String::new();
    if file.escape != '\\' {
        writeln!(out, "escape {:?}", file.escape).unwrap();
    }
    for directive in &file.directives {
        writeln!(out, "{}: # {}={:?}", directive.line, directive.key.word(), directive.value).unwrap();
    }
    for arg in &file.global_args {
        writeln!(out, "{}: global {:?}", lines(arg.lines), arg.definitions).unwrap();
    }
    for (index, stage) in file.stages.iter().enumerate() {
        write!(out, "{}: FROM {:?} label={}", lines(stage.lines), stage.base, stage.label(index)).unwrap();
        if let Some(platform) = &stage.platform {
            write!(out, " platform={platform:?}").unwrap();
        }
        if let Some(description) = &stage.description {
            write!(out, " description={description:?}").unwrap();
        }
        out.push('\n');
        for instruction in &stage.instructions {
            writeln!(out, "  {}: {:?}", lines(instruction.lines), instruction.command).unwrap();
            writeln!(out, "      {:?}", instruction.source).unwrap();
        }
    }
    let options = file.directive(DirectiveKey::Check).map_or("", |directive| directive.value.as_str());
    match CheckConfig::parse(options) {
        Ok(config) => {
            for finding in findings_of_file(&file, &config) {
                writeln!(out, "{}: {}: {}", lines(finding.lines), finding.rule.name(), finding.text).unwrap();
            }
        }
        Err(error) => writeln!(out, "ERROR: {error}").unwrap(),
    }
    out
}

#[test]
fn every_case_has_the_tree_written_beside_it() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut names: Vec<PathBuf> = fs_err::read_dir(cases_dir())
        .expect("the cases are part of the repository")
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    assert!(names.len() >= CASES_MIN, "only {} cases", names.len());
    let mut wrong = Vec::new();
    for case in &names {
        let found = describe(&fs_err::read(case.join("Dockerfile")).unwrap());
        let path = case.join("ast.txt");
        if update {
            fs_err::write(&path, &found).unwrap();
        } else if fs_err::read_to_string(&path).unwrap_or_default() != found {
            wrong.push(format!("{}:\n{found}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases differ (UPDATE=1 rewrites them):\n{}",
        wrong.len(),
        names.len(),
        wrong.join("\n")
    );
}
