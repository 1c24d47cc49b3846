//! In: the name of an image whose only work is to register emulators, or to hold one. Out: the real image when it can be had; else the same work and the same words. Never: that work in silence.

use std::path::Path;

use crossdock_build::Engine;
use crossdock_emulation::TABLE;
use crossdock_emulation::register::Table;
use crossdock_image::LocalImage;
use crossdock_oci::{Platform, Reference};
use crossdock_progress::Progress;

use super::binfmt;
use crate::error::{CliError, say};

mod image;
mod work;

/// The images known here (spec/binfmt.md §3 to §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helper {
    /// `tonistiigi/binfmt`
    Tonistiigi,
    /// `docker/binfmt`, `linuxkit/binfmt`
    DockerBinfmt,
    /// `multiarch/qemu-user-static`, but not its tags that hold one emulator
    QemuUserStatic,
}

impl Helper {
    fn of(reference: &Reference) -> Option<Self> {
        match reference.name().as_str() {
            "docker.io/tonistiigi/binfmt" => Some(Self::Tonistiigi),
            "docker.io/docker/binfmt" | "docker.io/linuxkit/binfmt" => Some(Self::DockerBinfmt),
            image::REPOSITORY if image::cpu_of(reference).is_none() => Some(Self::QemuUserStatic),
            _ => None,
        }
    }

    /// Whether a run with these arguments changes the kernel's table.
    fn changes(self, command: &[String]) -> bool {
        let flag = |word: &String| word.trim_start_matches('-').split('=').next().unwrap_or_default().to_owned();
        match self {
            Self::Tonistiigi => command.iter().any(|word| matches!(flag(word).as_str(), "install" | "uninstall")),
            Self::DockerBinfmt => true,
            Self::QemuUserStatic => !command.iter().any(|word| matches!(word.as_str(), "--help" | "-h")),
        }
    }
}

/// What a run of an image comes to.
pub enum Answer {
    /// It is run like any image. The table is kept mounted meanwhile: a kernel forgets the entries of one nobody has mounted.
    Run(Option<Mounted>),
    /// Its work is done.
    Done,
}

/// The kernel's table, mounted for a helper image.
pub struct Mounted(Option<Table>);

impl Drop for Mounted {
    fn drop(&mut self) {
        // What cannot be unmounted stays mounted, which harms nobody.
        let _ = self.0.take().map(Table::close);
    }
}

/// Does the work of a helper image that cannot be pulled; lets every other image be run.
///
/// # Errors
/// When the work takes rights that are not there, or something of it failed.
pub fn before_run(engine: &Engine, name: &str, command: &[String]) -> Result<Answer, CliError> {
    let Ok(reference) = name.parse::<Reference>() else { return Ok(Answer::Run(None)) };
    let Some(helper) = Helper::of(&reference) else { return Ok(Answer::Run(None)) };
    let table = if helper.changes(command) { Some(binfmt::open(Path::new(TABLE))?) } else { None };
    if engine.images().find(name).is_ok() {
        return Ok(Answer::Run(table.map(|table| Mounted(Some(table)))));
    }
    match engine.pull(&reference, &[Platform::host()], false, &Progress::silent()) {
        Ok(_) => Ok(Answer::Run(table.map(|table| Mounted(Some(table))))),
        Err(_) if engine.is_cancelled() => Err(CliError::Cancelled),
        Err(error) => {
            let name = reference.familiar();
            let does = if table.is_some() { "registers the emulators" } else { "answers" };
            say(&format!("WARNING: {name} cannot be pulled ({}); crossdock {does} itself", one_line(&error)));
            work::run(helper, command, table)?;
            Ok(Answer::Done)
        }
    }
}

/// An image that holds one emulator, made from the host's when the real one cannot be pulled for `reason`.
pub fn stand_in(engine: &Engine, reference: &Reference, reason: &dyn std::fmt::Display) -> Option<LocalImage> {
    let name = reference.familiar();
    if Helper::of(reference).is_some() {
        say(&format!("`run` does the work of {name} without the image; `create` and `start` need it"));
        return None;
    }
    let cpu = image::cpu_of(reference)?;
    match image::make(engine, reference, cpu) {
        Ok((image, emulator)) => {
            say(&format!(
                "WARNING: {name} cannot be pulled ({}); it is made from {}",
                one_line(reason),
                emulator.display()
            ));
            Some(image)
        }
        Err(error) => {
            say(&format!("WARNING: {name} cannot be made from an emulator of this host, either: {error}"));
            None
        }
    }
}

/// A message of several lines in one.
fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_images_are_known_by_name() {
        let of = |name: &str| Helper::of(&name.parse().unwrap());
        assert_eq!(of("tonistiigi/binfmt"), Some(Helper::Tonistiigi));
        assert_eq!(of("docker.io/tonistiigi/binfmt:qemu-v8"), Some(Helper::Tonistiigi));
        assert_eq!(of("docker/binfmt:a7996909642ee92942dcd6cff44b9b95f08dad64"), Some(Helper::DockerBinfmt));
        assert_eq!(of("linuxkit/binfmt:v0.8"), Some(Helper::DockerBinfmt));
        assert_eq!(of("multiarch/qemu-user-static:register"), Some(Helper::QemuUserStatic));
        assert_eq!(of("multiarch/qemu-user-static"), Some(Helper::QemuUserStatic));
        for other in ["multiarch/qemu-user-static:x86_64-aarch64", "registry.example/tonistiigi/binfmt", "busybox"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn only_runs_that_change_the_table_need_rights() {
        assert!(!Helper::Tonistiigi.changes(&[]));
        assert!(!Helper::Tonistiigi.changes(&words("--version")));
        assert!(Helper::Tonistiigi.changes(&words("-install=all")));
        assert!(Helper::Tonistiigi.changes(&words("--uninstall qemu-*")));
        assert!(Helper::DockerBinfmt.changes(&[]));
        assert!(!Helper::QemuUserStatic.changes(&words("--help")));
    }
}
