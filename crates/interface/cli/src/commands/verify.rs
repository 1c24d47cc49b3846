//! In: `verify`. Out: a table or JSON of what each platform of an image starts and what does not fit. Never: a layer kept.

use std::io::IsTerminal;
use std::sync::Arc;

use crossdock_build::verify::{Verified, VerifiedPlatform};
use crossdock_build::{Entrypoint, Is, Part};
use crossdock_progress::{Progress, Sink};
use serde_json::{Value, json};

use super::{engine, platforms, table};
use crate::args::verify::VerifyArgs;
use crate::error::{CliError, result, say};
use crate::progress::{Builder, Display, Mode};

/// Exit code of an image that does not fit.
const MISMATCH: u8 = 1;
/// Exit code when nothing could be said.
const FAILED: u8 = 2;

/// `verify`
pub fn run(args: &VerifyArgs) -> Result<(), CliError> {
    match look(args) {
        Ok(true) => Ok(()),
        Ok(false) => Err(CliError::Exited(MISMATCH)),
        Err(error) => Err(CliError::Code { source: Box::new(error), code: FAILED }),
    }
}

fn look(args: &VerifyArgs) -> Result<bool, CliError> {
    if !matches!(args.format.as_str(), "table" | "json") {
        return Err(CliError::Usage(format!("invalid format {:?}: table and json are supported", args.format)));
    }
    let wanted = platforms(&args.platforms)?;
    let engine = engine()?;
    let mode = if std::io::stderr().is_terminal() { Mode::Tty } else { Mode::Quiet };
    let display = Display::start(mode, &Builder { name: "default".to_owned(), driver: "embedded".to_owned() });
    let progress = Progress::new(Arc::clone(&display) as Arc<dyn Sink>);
    let verified = engine.verify(&args.image, &wanted, &progress);
    display.finish();
    let verified = verified?;
    if args.format == "json" {
        result(&serde_json::to_string_pretty(&document(&verified)).expect("the answer has only string keys"));
    } else {
        let place = if verified.local { "of the local store" } else { "of its registry" };
        say(&format!("{} {place}, {}", args.image, verified.digest));
        rows(&verified).iter().for_each(|line| result(line));
        for platform in &verified.platforms {
            platform.problems.iter().for_each(|problem| say(&format!("{}: {problem}", name(platform))));
        }
    }
    Ok(verified.platforms.iter().all(|platform| platform.problems.is_empty()))
}

fn name(platform: &VerifiedPlatform) -> String {
    platform.platform.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

fn rows(verified: &Verified) -> Vec<String> {
    let heading = ["PLATFORM", "ENTRYPOINT", "IS", "FOREIGN", "LAYERS", "RESULT"].map(str::to_owned).to_vec();
    let rows = verified.platforms.iter().map(|platform| {
        let foreign: usize = platform.foreign.iter().map(|foreign| foreign.paths.len()).sum();
        let fits = if platform.problems.is_empty() { "fits" } else { "does not fit" };
        vec![
            name(platform),
            platform.entrypoint.word.clone().unwrap_or_else(|| "-".to_owned()),
            chain(&platform.entrypoint),
            foreign.to_string(),
            platform.layers.to_string(),
            fits.to_owned(),
        ]
    });
    table::lines(&std::iter::once(heading).chain(rows).collect::<Vec<_>>())
}

/// `script /bin/sh → ELF arm64`
fn chain(entrypoint: &Entrypoint) -> String {
    if entrypoint.parts.is_empty() {
        return "-".to_owned();
    }
    let words = entrypoint.parts.iter().enumerate().map(|(at, part)| match (&part.is, entrypoint.parts.get(at + 1)) {
        (Is::Script, Some(next)) => format!("script {}", next.path),
        (Is::Elf { dynamic: true, .. }, Some(next)) => format!("{} with {}", kind(part), next.path),
        _ => kind(part),
    });
    words.collect::<Vec<_>>().join(" → ")
}

fn kind(part: &Part) -> String {
    match &part.is {
        Is::Elf { architecture: Some(architecture), .. } => format!("ELF {architecture}"),
        Is::Elf { machine, .. } => format!("ELF of machine {machine}"),
        Is::Script => "script".to_owned(),
        Is::Missing => "missing".to_owned(),
        Is::Other => "no program".to_owned(),
        Is::Unseen => "unknown".to_owned(),
    }
}

fn document(verified: &Verified) -> Value {
    let platforms = verified.platforms.iter().map(|platform| {
        let parts = platform.entrypoint.parts.iter().map(|part| match part.is {
            Is::Elf { architecture, dynamic, .. } => {
                json!({ "path": part.path, "is": "elf", "architecture": architecture, "dynamic": dynamic })
            }
            Is::Script => json!({ "path": part.path, "is": "script" }),
            Is::Missing => json!({ "path": part.path, "is": "missing" }),
            Is::Other => json!({ "path": part.path, "is": "other" }),
            Is::Unseen => json!({ "path": part.path, "is": "unknown" }),
        });
        let foreign = platform
            .foreign
            .iter()
            .map(|foreign| json!({ "architecture": foreign.architecture, "paths": foreign.paths }));
        json!({
            "platform": platform.platform.as_ref().map(ToString::to_string),
            "digest": platform.digest.to_string(),
            "config": platform.config.to_string(),
            "layers": platform.layers,
            "entrypoint": platform.entrypoint.word,
            "starts": parts.collect::<Vec<_>>(),
            "foreign": foreign.collect::<Vec<_>>(),
            "problems": platform.problems,
            "fits": platform.problems.is_empty(),
        })
    });
    json!({
        "digest": verified.digest.to_string(),
        "local": verified.local,
        "platforms": platforms.collect::<Vec<_>>(),
        "fits": verified.platforms.iter().all(|platform| platform.problems.is_empty()),
    })
}
