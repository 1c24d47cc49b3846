//! In: the images that plans name. Out: each resolved once for each platform, several at a time. Never: a step begun before all of them are known.
//!
//! A base that lacks a platform is reported for all platforms at once (docs/design/architecture.md, decision 15).

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossdock_dockerfile::{Dockerfile, suggest};
use crossdock_oci::{Platform, Reference};

use crate::bridge::{Bridge, BridgeError, ImageRequest, ResolvedImage};
use crate::error::{ErrorKind, Fault, MissingPlatform};
use crate::options::Options;
use crate::plan::{ImageName, Plan};

/// Most images resolved at a time.
const RESOLVES_AT_A_TIME_MAX: usize = 8;

/// Images people mean when they mistype one.
const COMMON_IMAGES: [&str; 7] = ["alpine", "busybox", "centos", "debian", "golang", "ubuntu", "fedora"];

/// Resolved images by name and platform.
#[derive(Debug, Default)]
pub(crate) struct Images(BTreeMap<(Reference, Platform), ResolvedImage>);

impl Images {
    /// An image that was resolved.
    pub(crate) fn get(&self, name: &ImageName, platform: &Platform) -> Option<&ResolvedImage> {
        self.0.get(&(name.reference.clone(), platform.clone()))
    }
}

/// Resolves what the plans name, adds the triggers images bring, and goes on until nothing new is named.
pub(crate) fn resolve_all(
    bridge: &dyn Bridge,
    options: &Options,
    file: &Dockerfile,
    plans: &mut [Plan],
    with_platform: bool,
) -> Result<Images, Fault> {
    let mut images = Images::default();
    loop {
        let mut wanted: Vec<(ImageName, Platform)> = Vec::new();
        for (name, platform) in plans.iter().flat_map(Plan::images) {
            let is_listed = wanted
                .iter()
                .any(|(other, for_platform)| other.reference == name.reference && *for_platform == platform);
            if !is_listed && images.get(&name, &platform).is_none() {
                wanted.push((name, platform));
            }
        }
        if !wanted.is_empty() {
            resolve_several(bridge, options, file, &wanted, with_platform, &mut images)?;
        }
        for plan in plans.iter_mut() {
            plan.add_triggers(file, options, &|name, platform| {
                images.get(name, platform).map(|image| image.config.view.config.on_build.clone())
            })?;
        }
        if wanted.is_empty() {
            return Ok(images);
        }
    }
}

fn resolve_several(
    bridge: &dyn Bridge,
    options: &Options,
    file: &Dockerfile,
    wanted: &[(ImageName, Platform)],
    with_platform: bool,
    images: &mut Images,
) -> Result<(), Fault> {
    let next = AtomicUsize::new(0);
    let answers: Mutex<Vec<(usize, Result<ResolvedImage, BridgeError>)>> = Mutex::new(Vec::new());
    let work = || {
        while let Some((name, platform)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let prefix = if with_platform { format!("{platform} internal") } else { "internal".to_owned() };
            let request = ImageRequest {
                reference: name.reference.clone(),
                platform: platform.clone(),
                mode: options.resolve_mode,
                layout: name.context.as_ref().and_then(|context| context.layout.clone()),
                log_name: match &name.context {
                    Some(context) => format!("[context {}] load metadata for {}", context.name, context.shown),
                    None => format!("[{prefix}] load metadata for {}", name.reference),
                },
            };
            let answer = bridge.resolve_image(&request);
            let index = wanted.iter().position(|(other, for_platform)| other == name && for_platform == platform);
            let mut answers = answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            answers.push((index.unwrap_or_default(), answer));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..wanted.len().min(RESOLVES_AT_A_TIME_MAX) {
            scope.spawn(work);
        }
        work();
    });
    let mut answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    answers.sort_by_key(|(index, _)| *index);
    let mut failures = Vec::new();
    for (index, answer) in answers {
        let (name, platform) = &wanted[index];
        match answer {
            Ok(image) => drop(images.0.insert((name.reference.clone(), platform.clone()), image)),
            Err(error) => failures.push((name, platform, error)),
        }
    }
    match fault_of(failures, file) {
        Some(fault) => Err(fault),
        None => Ok(()),
    }
}

/// One fault for all failures: every missing platform, else the first failure.
fn fault_of(failures: Vec<(&ImageName, &Platform, BridgeError)>, file: &Dockerfile) -> Option<Fault> {
    let mut missing: Vec<MissingPlatform> = Vec::new();
    let mut missing_lines = None;
    let mut other = None;
    for (name, platform, error) in failures {
        match error {
            BridgeError::NoSuchPlatform { available, .. } => {
                missing_lines.get_or_insert(name.lines);
                let reference = name.reference.to_string();
                match missing.iter_mut().find(|entry| entry.reference == reference) {
                    Some(entry) => entry.wanted.push(platform.clone()),
                    None => missing.push(MissingPlatform {
                        written: name.written.clone(),
                        reference,
                        wanted: vec![platform.clone()],
                        available,
                    }),
                }
            }
            error => other = other.or(Some((name, error))),
        }
    }
    if let Some(lines) = missing_lines {
        return Some(Fault::at(ErrorKind::MissingPlatforms(missing), lines));
    }
    let (name, source) = other?;
    let stages = file.stages.iter().filter_map(|stage| stage.name.as_deref());
    let suggestion = suggest::nearest(&name.written, stages.chain(COMMON_IMAGES));
    let (written, reference) = (name.written.clone(), name.reference.to_string());
    Some(Fault::at(ErrorKind::ResolveImage { written, reference, source: Box::new(source), suggestion }, name.lines))
}
