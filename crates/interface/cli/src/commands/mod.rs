//! In: the flags of a verb. Out: its effect and its words. Never: flags of another verb.

pub mod archive;
pub mod binfmt;
pub mod build;
pub mod builders;
pub mod call;
pub mod containers;
pub mod context;
pub mod grants;
pub mod history;
pub mod images;
pub mod imagetools;
pub mod info;
pub mod install;
pub mod load_engine;
pub mod login;
pub mod manifest;
pub mod plugin;
pub mod proxies;
pub mod prune;
pub mod registry;
pub mod run;
pub mod store;
pub mod transfer;
pub mod verify;

mod emulator_image;
mod helper_images;
mod interrupt;
mod moment;
mod table;
pub mod template;

use crossdock_build::{Engine, EngineOptions};
use crossdock_oci::{Platform, PlatformError};

use crate::error::{CliError, say};

/// Opens the engine over the user's state directory.
pub fn engine() -> Result<Engine, CliError> {
    let caught = interrupt::catch();
    let state = crossdock_content::root_default()?;
    let engine = Engine::open(&EngineOptions { state })?;
    for warning in engine.client().warnings() {
        say(&format!("WARNING: {warning}"));
    }
    if let Some(caught) = caught {
        caught.stop(&engine);
    }
    Ok(engine)
}

/// Platforms from repeated flags of comma lists, each once, in order.
pub fn platforms(words: &[String]) -> Result<Vec<Platform>, PlatformError> {
    let mut platforms: Vec<Platform> = Vec::new();
    for word in words.iter().flat_map(|word| word.split(',')).filter(|word| !word.trim().is_empty()) {
        let platform: Platform = word.parse()?;
        if !platforms.contains(&platform) {
            platforms.push(platform);
        }
    }
    Ok(platforms)
}
