//! In: a finished build. Out: warnings of programs for another architecture; a failure when the image could not start. Never: a layer of the base fetched, read or judged.

use std::sync::Arc;

use crossdock_image::LayerId;
use crossdock_image::assemble::ImageLayer;
use crossdock_oci::Timestamp;
use crossdock_progress::Step;

use super::names;
use super::whole::{Seen, Whole, may_misfit};
use crate::BuildError;
use crate::export::Finished;
use crate::perform::Steps;

/// What is done about programs that do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ArchCheck {
    /// Nothing is looked at.
    Off,
    /// All of them are warned of.
    Warn,
    /// The build fails when the image could not start; other programs are warned of.
    #[default]
    Fail,
}

impl ArchCheck {
    /// The words of CROSSDOCK_ARCH_CHECK; none for another one.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "off" => Some(Self::Off),
            "warn" => Some(Self::Warn),
            "" | "fail" => Some(Self::Fail),
            _ => None,
        }
    }
}

impl Steps {
    /// Checks one platform's image.
    pub(crate) fn check_architecture(
        &self,
        step: &Step,
        result: &Finished,
        layers: &[ImageLayer],
        epoch: Option<Timestamp>,
        wish: ArchCheck,
    ) -> Result<(), BuildError> {
        let platform = &result.platform;
        if wish == ArchCheck::Off || platform.os != "linux" {
            return Ok(());
        }
        let Some(whole) = self.suspects(result, layers, epoch)? else { return Ok(()) };
        let entrypoint = whole.entrypoint(&result.config.config);
        let mut refused: Option<String> = None;
        if let Some((part, own)) = entrypoint.misfit(&platform.architecture) {
            let what = match entrypoint.parts.first() {
                Some(first) if first.path != part.path => format!("{}, which starts {},", part.path, first.path),
                _ => part.path.clone(),
            };
            if wish == ArchCheck::Fail {
                return Err(BuildError::Architecture { platform: platform.clone(), program: what, own });
            }
            step.warn(&format!("ArchitectureMismatch: {platform} cannot start this image: {what} is for {own}"));
            refused = Some(part.path.clone());
        }
        for foreign in whole.foreign(&platform.architecture) {
            let paths: Vec<String> = foreign.paths.into_iter().filter(|path| refused.as_ref() != Some(path)).collect();
            let (own, names) = (foreign.architecture, names(&paths));
            match paths.len() {
                0 => {}
                1 => step.warn(&format!("ArchitectureMismatch: a program of {platform} is for {own}: {names}")),
                count => {
                    step.warn(&format!("ArchitectureMismatch: {count} programs of {platform} are for {own}: {names}"));
                }
            }
        }
        Ok(())
    }

    /// The image's layers, when one of those made here has a program that does not fit.
    fn suspects(
        &self,
        result: &Finished,
        layers: &[ImageLayer],
        epoch: Option<Timestamp>,
    ) -> Result<Option<Whole>, BuildError> {
        let mut made = Vec::new();
        for at in result.inherited..result.layers.len() {
            let mut stack = result.layers[..=at].to_vec();
            // With SOURCE_DATE_EPOCH another layer took its place.
            if let (Some(_), Some(layer), Some(top)) = (epoch, layers.get(at), stack.last_mut()) {
                *top = LayerId::of_diff(layer.diff_id);
            }
            made.push(self.programs(&stack)?);
        }
        if !made.iter().flatten().any(|programs| may_misfit(programs, &result.platform.architecture)) {
            return Ok(None);
        }
        let mut seen = Vec::with_capacity(result.layers.len());
        for id in &result.layers[..result.inherited.min(result.layers.len())] {
            seen.push(self.trees.known(id)?.map_or(Seen::Nothing, Seen::Names));
        }
        for programs in made {
            let listing = programs.as_ref().and_then(|programs| programs.listing().ok());
            seen.push(match (listing, programs) {
                (Some(listing), Some(programs)) => Seen::Programs(Arc::new(listing), programs),
                _ => Seen::Nothing,
            });
        }
        // Layers that need what an unseen one has cannot be merged: then nothing is said.
        Ok(Whole::new(seen).ok())
    }
}
