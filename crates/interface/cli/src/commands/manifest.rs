//! In: `manifest …`. Out: lists in Docker's manifests directory and in registries, in the words of Docker's CLI. Never: a layer moved through this machine when the registry can mount it.

use crossdock_docker::{Environment, Settings};
use crossdock_lists::{Annotation, Library, Lists, PushState, Source};
use crossdock_oci::Reference;

use super::engine;
use super::transfer::shown;
use crate::args::lists::{AnnotateArgs, ListCreateArgs, ListInspectArgs, ListPruneArgs, ListPushArgs, ListRmArgs};
use crate::error::{CliError, result, say};
use crossdock_gotemplate::docker_table;

/// Works with the user's lists; registries of `insecure` names may do without TLS in this call.
fn with_lists<T>(
    insecure: Option<&[&str]>,
    work: impl FnOnce(&Lists<'_>) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let engine = engine()?;
    let lease = engine.store().lease()?;
    let hosts: Vec<Reference> = insecure
        .into_iter()
        .flatten()
        .filter_map(|name| match Source::parse(name) {
            Ok(Source::Name(name)) => Some(name),
            _ => None,
        })
        .collect();
    let open = engine.client().allowing_insecure(hosts.iter().map(Reference::domain));
    let client = if hosts.is_empty() { engine.client() } else { &open };
    let library = Library { client, store: engine.store(), lease: &lease };
    let config = Settings { environment: Environment::of_process(), ..Settings::default() }.config_dir();
    work(&Lists::new(library, &config)).map_err(|error| CliError::Bare(Box::new(error)))
}

/// `manifest create`
pub fn create(args: &ListCreateArgs) -> Result<(), CliError> {
    let mut names: Vec<&str> = args.manifests.iter().map(String::as_str).collect();
    names.push(&args.list);
    with_lists(args.insecure.then_some(&names), |lists| {
        let (list, only_here) = lists.create(&args.list, &args.manifests, args.amend)?;
        for image in only_here {
            say(&format!("{image} is in the local store only: `docker manifest push` brings it along"));
        }
        warn_stale(lists, &list)?;
        result(&format!("Created manifest list {list}"));
        Ok(())
    })
}

/// `manifest annotate`
pub fn annotate(args: &AnnotateArgs) -> Result<(), CliError> {
    let text = |word: &Option<String>| word.clone().unwrap_or_default();
    let wish = Annotation {
        os: text(&args.os),
        architecture: text(&args.arch),
        variant: text(&args.variant),
        os_version: text(&args.os_version),
        os_features: args.os_features.clone(),
    };
    with_lists(None, |lists| {
        let list = lists.annotate(&args.list, &args.manifest, &wish)?;
        warn_stale(lists, &list)
    })
}

/// A list that was pushed and changed here since: the registry still has the old one.
fn warn_stale(lists: &Lists<'_>, list: &Reference) -> Result<(), CliError> {
    if let Some(pushed) = lists.stale(list)? {
        say(&format!(
            "WARNING: {list} was pushed as {pushed} and has changed here since: the registry has the old one until `docker manifest push {list}`"
        ));
    }
    Ok(())
}

/// `manifest inspect`
pub fn inspect(args: &ListInspectArgs) -> Result<(), CliError> {
    let names: Vec<&str> = args.names.iter().map(String::as_str).collect();
    let (list, name) = match names.as_slice() {
        [list, name, ..] => (Some(*list), *name),
        [name] => (None, *name),
        [] => return Err(CliError::Usage("'docker manifest inspect' requires at least 1 argument".to_owned())),
    };
    with_lists(args.insecure.then_some(&names), |lists| {
        result(&lists.inspect(list, name, args.verbose)?);
        Ok(())
    })
}

/// `manifest push`
pub fn push(args: &ListPushArgs) -> Result<(), CliError> {
    with_lists(args.insecure.then_some(&[args.list.as_str()]), |lists| {
        let digest = shown(true, |progress| {
            let step = progress.step(&format!("pushing {}", args.list));
            let pushed = lists.push(&args.list, &step, &|line| result(line));
            match &pushed {
                Ok(_) => step.done(),
                Err(error) => step.failed(&error.to_string()),
            }
            pushed
        })?
        .1;
        result(&digest.to_string());
        if args.purge {
            lists.remove(&args.list)?;
        }
        Ok(())
    })
}

/// `manifest rm`: every list that is there goes; the others are named at the end.
pub fn remove(args: &ListRmArgs) -> Result<(), CliError> {
    with_lists(None, |lists| {
        let failed: Vec<String> =
            args.lists.iter().filter_map(|list| lists.remove(list).err()).map(|error| error.to_string()).collect();
        if failed.is_empty() { Ok(()) } else { Err(CliError::Usage(failed.join("\n"))) }
    })
}

/// `manifest ls`
pub fn list() -> Result<(), CliError> {
    with_lists(None, |lists| {
        let mut rows = vec![["MANIFEST LIST", "PLATFORMS", "PUSHED"].map(str::to_owned).to_vec()];
        rows.extend(lists.all()?.into_iter().map(|known| {
            let pushed = match known.state {
                PushState::NotPushed => "no",
                PushState::Pushed => "yes",
                PushState::ChangedSince(_) => "an older one",
            };
            vec![known.list.familiar(), known.platforms.join(", "), pushed.to_owned()]
        }));
        docker_table(&rows).iter().for_each(|line| result(line));
        Ok(())
    })
}

/// `manifest prune`: lists whose registry has them as they are; with `--all` every list.
pub fn prune(args: &ListPruneArgs) -> Result<(), CliError> {
    with_lists(None, |lists| {
        for known in lists.all()? {
            if args.all || known.state == PushState::Pushed {
                let list = lists.remove(&known.list.to_string())?;
                result(&format!("Deleted: {}", list.familiar()));
            }
        }
        Ok(())
    })
}
