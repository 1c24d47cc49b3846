//! In: the manifests of the rooms. Out: imports that point upwards. Never: a room missing from the table.

use std::fs;
use std::path::Path;

use crate::Breach;

/// The rooms in import order: a room imports only rooms above it (ARCHITECTURE.md).
const ROOMS: [&str; 21] = [
    "oci",
    "content",
    "progress",
    "gotemplate",
    "registry",
    "llb",
    "dockerfile",
    "frontend",
    "solver",
    "snapshot",
    "image",
    "source",
    "emulation",
    "executor",
    "exporter",
    "build",
    "lists",
    "containers",
    "docker",
    "builders",
    "cli",
];

/// Checks every room's `[dependencies]`; tests may import any room.
pub fn check(root: &Path) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for group in ["crates/foundation", "crates/engine", "crates/interface", "crates"] {
        let Ok(entries) = fs::read_dir(root.join(group)) else { continue };
        for entry in entries.flatten() {
            let manifest = entry.path().join("Cargo.toml");
            let room = entry.file_name().to_string_lossy().into_owned();
            let Ok(text) = fs::read_to_string(&manifest) else { continue };
            let Some(place) = ROOMS.iter().position(|known| *known == room) else {
                breaches.push(Breach::new(&manifest, 1, format!("room {room} is not in the import table")));
                continue;
            };
            breaches.extend(check_room(&manifest, &text, place));
        }
    }
    breaches
}

fn check_room(manifest: &Path, text: &str, place: usize) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut section = "";
    for (at, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let Some(tail) = line.strip_prefix("crossdock-") else { continue };
        let name: String = tail.chars().take_while(char::is_ascii_alphanumeric).collect();
        let imported = ROOMS.iter().position(|known| *known == name);
        if section == "[dependencies]" && imported.is_none_or(|imported| imported >= place) {
            breaches.push(Breach::new(
                manifest,
                at + 1,
                format!("{} must not import {name}: imports point upwards in the table only", ROOMS[place]),
            ));
        }
    }
    breaches
}
