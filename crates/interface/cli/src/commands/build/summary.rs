//! In: a build that ended. Out: its failed steps, warnings and digests, for people and in files. Never: progress.

use crossdock_build::{BuildReport, BuildRequest, ExportedImage};
use crossdock_exporter::Dest;
use crossdock_oci::Reference;

use crate::args::build::BuildArgs;
use crate::commands::load_engine::Loaded;
use crate::error::{CliError, result, say};
use crate::progress::{Mode, Trace};

/// What stands under the progress: failed steps with their last lines, then the warnings.
pub fn print(mode: Mode, trace: &Trace, failed: bool) {
    if mode == Mode::RawJson || (mode == Mode::Quiet && !failed) {
        return;
    }
    for step in trace.failed() {
        say(&format!("------\n > {}:", step.name));
        for line in &step.lines {
            say(line);
        }
        say("------");
    }
    let warnings = trace.warnings();
    if !warnings.is_empty() {
        let (count, word) = (warnings.len(), if warnings.len() == 1 { "warning" } else { "warnings" });
        say(&format!("\n {count} {word} found:"));
        for warning in &warnings {
            say(&format!(" - {}", warning.short));
        }
    }
}

/// Files and lines that name the result.
pub fn finish(
    args: &BuildArgs,
    request: &BuildRequest,
    report: &BuildReport,
    loaded: Option<&Loaded>,
    mode: Mode,
) -> Result<(), CliError> {
    if request.only_graph {
        let text = serde_json::to_string_pretty(&report.graphs).expect("a graph has only string keys");
        result(&text);
        return Ok(());
    }
    let Some(image) = &report.image else { return Ok(()) };
    // What an engine took has the ID the engine gives it: `docker run $(cat iidfile)` must find it.
    let id = loaded.map_or_else(|| image.config.unwrap_or(image.target.digest).to_string(), |loaded| loaded.id.clone());
    if let Some(path) = &args.iidfile {
        write(path, id.as_bytes())?;
    }
    if let Some(path) = &args.metadata_file {
        write(path, metadata(image).as_bytes())?;
    }
    let stdout_taken = request.outputs.iter().any(|spec| spec.dest == Some(Dest::Stdout));
    if args.quiet && !stdout_taken {
        result(&loaded.map_or_else(|| image.target.digest.to_string(), |loaded| loaded.id.clone()));
    } else if mode != Mode::RawJson && mode != Mode::Quiet {
        let names: Vec<String> = image.names.iter().map(Reference::familiar).collect();
        let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
        say(&format!("\nkept {} ({names})", image.target.digest));
        if let Some(loaded) = loaded {
            loaded.say();
        }
    }
    Ok(())
}

/// Keys as buildx writes them (spec/cli.md §1.5), in alphabetical order.
fn metadata(image: &ExportedImage) -> String {
    let mut map = serde_json::Map::new();
    if let Some(config) = image.config {
        map.insert("containerimage.config.digest".to_owned(), config.to_string().into());
    }
    let target = crossdock_oci::Descriptor { platform: image.platform.clone(), ..image.target.clone() };
    map.insert("containerimage.descriptor".to_owned(), serde_json::to_value(&target).unwrap_or_default());
    map.insert("containerimage.digest".to_owned(), image.target.digest.to_string().into());
    if !image.names.is_empty() {
        let names: Vec<String> = image.names.iter().map(Reference::to_string).collect();
        map.insert("image.name".to_owned(), names.join(",").into());
    }
    serde_json::to_string_pretty(&map).expect("metadata has only string keys")
}

fn write(path: &str, bytes: &[u8]) -> Result<(), CliError> {
    fs_err::write(path, bytes).map_err(|source| CliError::File { action: "write", path: path.to_owned(), source })
}
