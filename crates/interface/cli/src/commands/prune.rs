//! In: `image prune`, `system prune`, `system df`. Out: what nobody needs is gone, in Docker's words. Never: an image that a container needs removed.

use std::collections::BTreeMap;

use crossdock_build::Engine;
use crossdock_containers::Containers;
use crossdock_content::GcOptions;
use crossdock_gotemplate::docker_table;
use crossdock_image::LocalImage;
use crossdock_oci::{Reference, Timestamp};

use super::table::size;
use super::{containers, engine, images, moment, store};
use crate::args::prune::{ImagePruneArgs, SystemPruneArgs};
use crate::error::{CliError, result};

/// `--filter` of the verbs that remove.
#[derive(Debug, Default)]
pub struct Filters {
    until: Option<Timestamp>,
    /// Label, and whether it must be there.
    labels: Vec<(String, bool)>,
}

impl Filters {
    /// Reads the flags.
    pub fn parse(words: &[String]) -> Result<Self, CliError> {
        let mut filters = Self::default();
        for word in words {
            match word.split_once('=') {
                Some(("until", text)) => {
                    let until = moment::parse(text, Timestamp::now());
                    let bad = || CliError::Usage(format!("invalid filter 'until={text}': no duration and no time"));
                    filters.until = Some(until.ok_or_else(bad)?);
                }
                Some(("label", label)) => filters.labels.push((label.to_owned(), true)),
                Some(("label!", label)) => filters.labels.push((label.to_owned(), false)),
                Some((name, _)) => return Err(CliError::Usage(format!("invalid filter '{name}'"))),
                None => {
                    return Err(CliError::bad_flag("--filter", word, "bad format of filter (expected name=value)"));
                }
            }
        }
        Ok(filters)
    }

    /// Whether something of this age with these labels may go.
    pub fn fits(&self, created: Timestamp, labels: &BTreeMap<String, String>) -> bool {
        let has = |wanted: &str| match wanted.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|known| known == value),
            None => labels.contains_key(wanted),
        };
        self.until.is_none_or(|until| created <= until)
            && self.labels.iter().all(|(label, wanted)| has(label) == *wanted)
    }

    fn asks_for_labels(&self) -> bool {
        !self.labels.is_empty()
    }
}

/// `image prune`
pub fn of_images(args: &ImagePruneArgs) -> Result<(), CliError> {
    let filters = Filters::parse(&args.filters)?;
    let what =
        if args.all { "all images without at least one container associated to them" } else { "all dangling images" };
    if !args.force && !store::confirmed(what)? {
        return Ok(());
    }
    let engine = engine()?;
    remove_images(&engine, args.all, &filters)?;
    let report = engine.prune(&GcOptions::default())?;
    result(&format!("Total reclaimed space: {}", size(report.blob_bytes)));
    Ok(())
}

/// `system prune`
pub fn of_system(args: &SystemPruneArgs) -> Result<(), CliError> {
    let filters = Filters::parse(&args.filters)?;
    if args.volumes && filters.until.is_some() {
        return Err(CliError::Usage("The \"until\" filter is not supported with \"--volumes\"".to_owned()));
    }
    let what = if args.all {
        "all stopped containers, all images no container needs and all build cache"
    } else {
        "all stopped containers, all dangling images and unreachable data"
    };
    if !args.force && !store::confirmed(what)? {
        return Ok(());
    }
    let engine = engine()?;
    containers::remove_stopped(&engine, &filters)?;
    remove_images(&engine, args.all, &filters)?;
    // What is younger than the filter says is not told apart in the cache: it stays as a whole.
    let report = engine.prune(&GcOptions { cache: args.all && args.filters.is_empty(), ..GcOptions::default() })?;
    result(&format!("Total reclaimed space: {}", size(report.blob_bytes)));
    Ok(())
}

/// Takes names and images away that no container needs; without `all` those without a name only.
fn remove_images(engine: &Engine, all: bool, filters: &Filters) -> Result<(), CliError> {
    let images = engine.images();
    let containers = Containers::new(engine).list()?;
    let is_used = |image: &LocalImage| {
        let digest = image.row.target.digest;
        let of = |container: &crossdock_containers::Container| {
            let image = &container.config.image;
            image.target.digest == digest || image.manifest.digest == digest
        };
        containers.iter().any(of)
    };
    let list = images.list()?;
    let mut removed = Vec::new();
    for image in list.iter().filter(|image| (all || image.reference.is_none()) && !is_used(image)) {
        let labels = if filters.asks_for_labels() { images::labels_of(&images, image) } else { BTreeMap::new() };
        if !filters.fits(image.row.created, &labels) {
            continue;
        }
        images.remove(image)?;
        removed.push(image);
    }
    if removed.is_empty() {
        return Ok(());
    }
    result("Deleted Images:");
    for image in &removed {
        let digest = image.row.target.digest;
        result(&format!("untagged: {}", image.reference.as_ref().map_or(digest.to_string(), Reference::familiar)));
    }
    let mut gone: Vec<String> = removed.iter().map(|image| image.row.target.digest.to_string()).collect();
    gone.sort();
    gone.dedup();
    // An image goes with its last name.
    let left = images.list()?;
    gone.retain(|digest| !left.iter().any(|image| image.row.target.digest.to_string() == *digest));
    gone.iter().for_each(|digest| result(&format!("deleted: {digest}")));
    result("");
    Ok(())
}

/// `system df`
pub fn usage() -> Result<(), CliError> {
    let engine = engine()?;
    let images = engine.images();
    let containers = Containers::new(&engine).list()?;
    let mut all: BTreeMap<String, (u64, bool)> = BTreeMap::new();
    for image in images.list()? {
        let digest = image.row.target.digest;
        let layers = images.manifests(&image).unwrap_or_default();
        let bytes = layers.iter().flat_map(|one| one.manifest.view.layers.iter().map(|layer| layer.size)).sum();
        let used = containers.iter().any(|container| container.config.image.target.digest == digest);
        all.insert(digest.to_string(), (bytes, used));
    }
    let whole: u64 = all.values().map(|(bytes, _)| bytes).sum();
    let free: u64 = all.values().filter(|(_, used)| !used).map(|(bytes, _)| bytes).sum();
    let part = |part: u64| match (part, whole) {
        (_, 0) => "0B".to_owned(),
        (part, whole) => format!("{} ({}%)", size(part), part * 100 / whole),
    };
    let row = |cells: [String; 5]| cells.to_vec();
    let running = containers.iter().filter(|container| container.is_running()).count();
    let used = all.values().filter(|(_, used)| *used).count();
    let dash = || "-".to_owned();
    let table = [
        row(["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"].map(str::to_owned)),
        row(["Images".to_owned(), all.len().to_string(), used.to_string(), size(whole), part(free)]),
        // What their writable layers and the cache hold alone is not kept anywhere.
        row(["Containers".to_owned(), containers.len().to_string(), running.to_string(), dash(), dash()]),
        row(["Local Volumes".to_owned(), "0".to_owned(), "0".to_owned(), "0B".to_owned(), "0B".to_owned()]),
    ];
    docker_table(&table).iter().for_each(|line| result(line));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_say_what_may_go() {
        let parse = |words: &[&str]| Filters::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let old: Timestamp = "2020-01-02T03:04:05Z".parse().unwrap();
        for (words, fits) in [
            (&[][..], true),
            (&["label=a"], true),
            (&["label=a=1"], true),
            (&["label=a=2"], false),
            (&["label!=a"], false),
            (&["label!=a=2", "label=a"], true),
            (&["label=a", "label=b"], false),
            (&["until=1h"], true),
            (&["until=2020-01-01"], false),
        ] {
            assert_eq!(parse(words).unwrap().fits(old, &labels), fits, "{words:?}");
        }
        assert!(!parse(&["until=1h"]).unwrap().fits(Timestamp::now(), &labels));
        for bad in ["until=bogus", "bogus=1", "dangling"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }
}
