//! In: a kept result and the engine of the Docker context. Out: the same image in that engine, by the shortest way (architecture decision 17). Never: bytes moved that the engine has; a port open behind its return.
//!
//! Beside an engine people expect `docker build -t x .` to be followed by `docker run x`. Nothing moves when the engine
//! has the image; names are set when it has it under others; else it pulls from a registry of ours on loopback, so that
//! only layers it lacks move; when it cannot reach that, or the image has no name, it is sent an archive. Without an
//! engine the image stays where every result stays: in our store.

mod base;
mod choice;
mod way;

use crossdock_build::{BuildReport, Engine, ExportedImage};
use crossdock_builders::Resolved;
use crossdock_docker::{Answer, CancelCheck, DockerError, Endpoint, EngineApi};
use crossdock_exporter::{OutputKind, OutputSpec};
use crossdock_image::{ImageError, LocalImage};
use crossdock_oci::Reference;
use crossdock_progress::Progress;

use crate::args::build::BuildArgs;
use crate::error::{CliError, say};
use crate::face::Session;
pub use base::offer_bases;
use choice::Chosen;

/// Nothing is loaded without being asked for (spec/cli.md §4).
const NO_DEFAULT_LOAD: &str = "BUILDX_NO_DEFAULT_LOAD";

/// Whether, and into which engine, a result is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// `--load`, or `-o type=docker` without a dest; else the builder belongs to a Docker context, and nothing says
    /// where else the result goes.
    asked: bool,
    pub endpoint: Endpoint,
}

impl Wish {
    /// What flags and builder wish for; `None` when nothing is to be loaded. Asked before the build: a context that does
    /// not exist is an error at once.
    ///
    /// # Errors
    /// When Docker's configuration cannot be read, or names no engine.
    pub fn of(
        session: &Session,
        args: &BuildArgs,
        outputs: &[OutputSpec],
        builder: &Resolved,
    ) -> Result<Option<Self>, CliError> {
        let without_dest = |spec: &OutputSpec| spec.kind == OutputKind::Docker && spec.dest.is_none();
        let asked = args.load || outputs.iter().any(without_dest);
        let to_store = outputs.is_empty() || outputs.iter().any(|spec| spec.kind == OutputKind::Image);
        let off = std::env::var(NO_DEFAULT_LOAD).is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
        if !asked && (off || !to_store) {
            return Ok(None);
        }
        let docker = session.docker();
        let context = match (builder.belongs_to_context(), builder.context()) {
            (None, _) if !asked => return Ok(None),
            (Some(context), _) | (None, Some(context)) => context.to_owned(),
            (None, None) => docker.context_name()?,
        };
        Ok(Some(Self { asked, endpoint: docker.endpoint_of(&context)? }))
    }
}

/// What the engine has now.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image's ID there: of its config, or of its manifest, as the engine counts.
    pub id: String,
    /// A line for the user, when not all of the image is there.
    pub note: Option<String>,
}

impl Loaded {
    /// Says what should be known.
    pub fn say(&self) {
        if let Some(note) = &self.note {
            say(note);
        }
    }
}

/// Loads a build's result where it is wished for; `None` when it stays in our store.
///
/// # Errors
/// When an engine is there and does not take the image, or one that was chosen by name does not answer.
pub fn after_build(
    engine: &Engine,
    report: &BuildReport,
    wish: Option<&Wish>,
    progress: &Progress,
) -> Result<Option<Loaded>, CliError> {
    let (Some(image), Some(wish)) = (&report.image, wish) else { return Ok(None) };
    let stop = engine.clone();
    match EngineApi::find(&wish.endpoint, CancelCheck::new(move || stop.is_cancelled())) {
        Ok(Answer::Engine(api)) => load(engine, &api, image, progress).map(Some),
        Ok(Answer::Nobody(_)) if is_everybodys(&wish.endpoint) => Ok(None),
        Ok(Answer::Nobody(error)) | Err(error) => unusable(wish, error).map(|()| None),
    }
}

/// Whether nobody chose this engine: then its absence is nothing to speak of.
fn is_everybodys(endpoint: &Endpoint) -> bool {
    endpoint.host == crossdock_docker::endpoint::DEFAULT_HOST
}

/// An engine that was chosen and cannot be used stops a command that asked for it; others hear of it.
fn unusable(wish: &Wish, error: DockerError) -> Result<(), CliError> {
    if matches!(error, DockerError::Cancelled) {
        return Err(CliError::Cancelled);
    }
    if wish.asked && !is_everybodys(&wish.endpoint) {
        return Err(CliError::NotLoaded { host: wish.endpoint.host.clone(), source: Box::new(error.into()) });
    }
    say(&format!("WARNING: {error}: the image was not loaded into that engine; it is kept in the local store"));
    Ok(())
}

/// Loads under a step of its own.
fn load(engine: &Engine, api: &EngineApi, image: &ExportedImage, progress: &Progress) -> Result<Loaded, CliError> {
    let step = progress.step("importing to docker");
    let job = Job { engine, api, step: &step };
    match job.run(image) {
        Ok(loaded) => {
            step.done();
            Ok(loaded)
        }
        Err(_) if engine.is_cancelled() => Err(CliError::Cancelled),
        Err(error) => {
            step.failed(&error.to_string());
            Err(CliError::NotLoaded { host: api.endpoint().host.clone(), source: Box::new(error) })
        }
    }
}

/// One image on its way into one engine.
struct Job<'a> {
    engine: &'a Engine,
    api: &'a EngineApi,
    step: &'a crossdock_progress::Step,
}

impl Job<'_> {
    fn run(&self, exported: &ExportedImage) -> Result<Loaded, CliError> {
        let image = self.kept(exported)?;
        let chosen = Chosen::of(self.engine, self.api, &image)?;
        let names: Vec<&Reference> = exported.names.iter().collect();
        let missing = self.names_missing(&names, &chosen)?;
        let id = match self.holder(&chosen)? {
            // The names that are right stay as they are; the others are given to the image that is there.
            Some(id) => {
                self.step.line(&format!("already there: {id}")).done();
                self.name(&id, &missing)?;
                id
            }
            None => self.bring(&image, &chosen, &names)?,
        };
        Ok(Loaded { id, note: chosen.note(self.api) })
    }

    /// The result as it is kept in our store.
    fn kept(&self, exported: &ExportedImage) -> Result<LocalImage, CliError> {
        let images = self.engine.images();
        let digest = exported.target.digest;
        let named = exported.names.first().map(|name| images.get(name)).transpose()?.flatten();
        if let Some(image) = named.filter(|image| image.row.target.digest == digest) {
            return Ok(image);
        }
        let found = images.list()?.into_iter().find(|image| image.row.target.digest == digest);
        Ok(found.ok_or(ImageError::NotFound { name: digest.to_string() })?)
    }

    /// Those of the names that do not lead to the image in the engine.
    fn names_missing<'n>(&self, names: &[&'n Reference], chosen: &Chosen) -> Result<Vec<&'n Reference>, CliError> {
        let mut missing = Vec::new();
        for name in names {
            let there = self.api.image(&name.to_string())?;
            if !there.is_some_and(|there| chosen.is(&there)) {
                missing.push(*name);
            }
        }
        Ok(missing)
    }

    /// The ID under which the engine has the image, whole.
    fn holder(&self, chosen: &Chosen) -> Result<Option<String>, CliError> {
        for id in &chosen.ids {
            if let Some(there) = self.api.image(id)?
                && chosen.is(&there)
            {
                return Ok(Some(there.id));
            }
        }
        Ok(None)
    }

    /// Moves the image, and gives it its names.
    fn bring(&self, image: &LocalImage, chosen: &Chosen, names: &[&Reference]) -> Result<String, CliError> {
        if !names.is_empty() && way::reaches_loopback(self.api.endpoint()) {
            match way::pull(self, image, chosen, names) {
                Ok(id) => return Ok(id),
                Err(_) if self.engine.is_cancelled() => return Err(CliError::Cancelled),
                Err(error) => {
                    self.step.log(2, format!("the engine cannot pull from here: {error}\n").as_bytes());
                }
            }
        }
        way::send(self, image, chosen)?;
        let id = self.holder(chosen)?.ok_or_else(|| CliError::LoadedElse(chosen.ids.join(" or ")))?;
        self.name(&id, names)?;
        Ok(id)
    }

    /// Gives the image names in the engine.
    fn name(&self, id: &str, names: &[&Reference]) -> Result<(), CliError> {
        for name in names {
            let line = self.step.line(&format!("naming to {name}"));
            let repository = name.name();
            self.api.tag(id, &repository, name.tag().unwrap_or("latest"))?;
            line.done();
        }
        Ok(())
    }
}
