//! In: `--output`, `--push`, `--annotation`. Out: where the result goes and what is noted on it. Never: a file written.

use crossdock_exporter::{Dest, OutputKind, OutputSpec};
use crossdock_image::Annotations;
use crossdock_oci::Platform;

use crate::args::build::BuildArgs;
use crate::error::CliError;

/// The outputs asked for.
pub fn outputs(args: &BuildArgs) -> Result<Vec<OutputSpec>, CliError> {
    let mut outputs = args.outputs.iter().map(|text| OutputSpec::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if args.push {
        let images: Vec<&mut OutputSpec> = outputs.iter_mut().filter(|spec| spec.kind == OutputKind::Image).collect();
        if images.is_empty() {
            outputs.push(OutputSpec { push: true, ..OutputSpec::new(OutputKind::Image) });
        } else {
            images.into_iter().for_each(|spec| spec.push = true);
        }
    }
    // Without a dest an archive would have nowhere to go; `docker` alone means loading, and everything is kept here anyway.
    let to_stdout_by_default =
        |spec: &&mut OutputSpec| matches!(spec.kind, OutputKind::Oci | OutputKind::Tar) && spec.dest.is_none();
    for spec in outputs.iter_mut().filter(to_stdout_by_default) {
        refuse_terminal(spec.kind.name())?;
        spec.dest = Some(Dest::Stdout);
    }
    let to_stdout = outputs.iter().filter(|spec| spec.dest == Some(Dest::Stdout)).count();
    if to_stdout > 1 {
        return Err(CliError::Usage("failed to build: only one output can go to standard output".to_owned()));
    }
    Ok(outputs)
}

fn refuse_terminal(kind: &str) -> Result<(), CliError> {
    use std::io::IsTerminal;
    if std::io::stdout().is_terminal() {
        let text = format!("failed to build: dest file is required for {kind} exporter. refusing to write to console");
        return Err(CliError::Usage(text));
    }
    Ok(())
}

/// Annotations of `--annotation` and of outputs: `[type[platform],…:]key=value` and `annotation[-type][[platform]].key`.
pub fn annotations(args: &BuildArgs, outputs: &[OutputSpec]) -> Result<Annotations, CliError> {
    let mut all = Annotations::default();
    for word in &args.annotations {
        let bad = || CliError::Usage(format!("invalid annotation {word:?}: expected [TYPE[PLATFORM],...:]KEY=VALUE"));
        let (left, value) = word.split_once('=').ok_or_else(bad)?;
        let (kinds, key) = left.rsplit_once(':').filter(|(kinds, _)| is_kind_list(kinds)).unwrap_or(("manifest", left));
        if key.is_empty() {
            return Err(bad());
        }
        for kind in kinds.split(',') {
            add_annotation(&mut all, kind, key, value)?;
        }
    }
    for (attribute, value) in outputs.iter().flat_map(|spec| &spec.annotations) {
        let (kind, key) = attribute.split_once('.').ok_or_else(|| {
            CliError::Usage(format!("output attribute {attribute:?}: expected annotation[-TYPE][[PLATFORM]].KEY"))
        })?;
        let kind = kind.strip_prefix("annotation").unwrap_or(kind);
        let kind = kind.strip_prefix('-').map_or_else(|| format!("manifest{kind}"), str::to_owned);
        add_annotation(&mut all, &kind, key, value)?;
    }
    Ok(all)
}

fn is_kind_list(text: &str) -> bool {
    text.split(',').all(|kind| {
        matches!(kind.split('[').next(), Some("index" | "index-descriptor" | "manifest" | "manifest-descriptor"))
    })
}

fn add_annotation(all: &mut Annotations, kind: &str, key: &str, value: &str) -> Result<(), CliError> {
    let (name, platform) = match kind.split_once('[') {
        None => (kind, None),
        Some((name, rest)) => (name, Some(rest.trim_end_matches(']').parse::<Platform>()?)),
    };
    let (key, value) = (key.to_owned(), value.to_owned());
    match (name, platform) {
        ("index", None) => drop(all.index.insert(key, value)),
        ("index-descriptor", None) => drop(all.index_descriptor.insert(key, value)),
        ("manifest", platform) => all.manifest.push((platform, key, value)),
        ("manifest-descriptor", platform) => all.manifest_descriptor.push((platform, key, value)),
        _ => {
            return Err(CliError::Usage(format!(
                "unknown annotation type {kind:?}: index, index-descriptor, manifest and manifest-descriptor are supported"
            )));
        }
    }
    Ok(())
}

/// A file of an earlier build must not be taken for this one's.
pub fn remove_old(path: &str) -> Result<(), CliError> {
    match fs_err::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(CliError::File { action: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
