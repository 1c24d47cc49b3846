//! In: a git source op. Out: the tree of the commit its ref is now, as a layer. Never: a fetch of a commit whose tree is here.

use std::num::NonZeroUsize;
use std::sync::Arc;

use base64::Engine as _;
use crossdock_content::Space;
use crossdock_image::LayerId;
use crossdock_llb::{SourceOp, Vertex};
use crossdock_oci::{BlobDigest, Timestamp};
use crossdock_progress::{Event, Log};
use crossdock_solver::{Cancel, Executed};
use crossdock_source::git::{Access, Commit, Git, GitSpec};
use crossdock_source::local::{ContextOptions, ContextTree};

use super::git_root;
use crate::BuildError;
use crate::perform::{Steps, locked};
use crate::result::Output;

impl Steps {
    /// Finds the commit, and its tree in the store or in the repository.
    pub(crate) fn run_git_source(
        &self,
        vertex: &Vertex,
        source: &SourceOp,
        cancel: &Cancel,
    ) -> Result<Executed<Output>, BuildError> {
        let spec = GitSpec::of(source)?;
        let cancelled = || cancel.is_cancelled() || self.cancel.is_cancelled();
        let git = Git::new(git_root(&self.store), &cancelled).with_access(self.access_to(&spec)?);
        let commit = git.resolve(&spec)?;
        let name = if commit.reference.is_empty() { "HEAD" } else { &commit.reference };
        self.log(vertex, &format!("{}\t{name}\n", commit.id));
        let recipe = recipe_of(&spec, &commit);
        let layer = self.recipes.alone(&recipe, || match self.known_recipe(&recipe)? {
            Some(known) => {
                self.mark_unchanged(vertex);
                Ok(known)
            }
            None => self.fetch_commit(&git, &spec, &commit, &recipe),
        })?;
        if let Some(committed) = self.commit_time(&commit)? {
            locked(&self.source_times).insert(vertex.digest, committed);
        }
        Ok(Executed { results: vec![Output::layers(vec![layer])], identity: None })
    }

    /// As it was kept when the commit was fetched.
    fn commit_time(&self, commit: &Commit) -> Result<Option<i64>, BuildError> {
        let row = self.store.get(Space::Pin, &time_key(commit))?;
        Ok(row.and_then(|row| std::str::from_utf8(&row).ok()?.parse().ok()))
    }

    /// Secrets and the agent a build was given for git (spec/engine.md §12).
    fn access_to(&self, spec: &GitSpec) -> Result<Access, BuildError> {
        let mut access = Access { authorization: None, agent: self.given.agent("default", true)? };
        let Some(host) = spec.web_host() else { return Ok(access) };
        let host = host.split('/').nth(2).unwrap_or_default();
        for (secret, is_token) in [
            (format!("GIT_AUTH_HEADER.{host}"), false),
            (format!("GIT_AUTH_TOKEN.{host}"), true),
            ("GIT_AUTH_HEADER".to_owned(), false),
            ("GIT_AUTH_TOKEN".to_owned(), true),
        ] {
            let Some(text) = self.secret_text(&secret)? else { continue };
            let basic = || {
                format!("basic {}", base64::engine::general_purpose::STANDARD.encode(format!("x-access-token:{text}")))
            };
            access.authorization = Some(if is_token { basic() } else { text.clone() });
            break;
        }
        Ok(access)
    }

    fn fetch_commit(
        &self,
        git: &Git<'_>,
        spec: &GitSpec,
        commit: &Commit,
        recipe: &str,
    ) -> Result<LayerId, BuildError> {
        let checkout = git.checkout(spec, commit)?;
        let options = ContextOptions {
            ignore: None,
            follow: &[],
            include: &[],
            index: None,
            threads: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
        };
        let tree = Arc::new(ContextTree::open(&checkout.root, options)?);
        // Files get the commit's time: when they were written here says nothing of them.
        let times = if spec.time_of_checkout { None } else { Some(checkout.committed.saturating_mul(1_000_000_000)) };
        let layer = self.materialise_at(&tree, times)?;
        self.store.put_row(Space::Pin, &time_key(commit), checkout.committed.to_string().as_bytes(), &[])?;
        self.keep_recipe(recipe, &layer)?;
        Ok(layer)
    }

    /// A line of a step's log.
    pub(crate) fn log(&self, vertex: &Vertex, text: &str) {
        let (data, timestamp) = (text.as_bytes().to_vec(), Timestamp::now());
        self.progress.emit(Event::Log(Log { vertex: vertex.digest, stream: 1, data, timestamp }));
    }
}

fn time_key(commit: &Commit) -> String {
    format!("git-time/{}", commit.id)
}

/// Everything that makes another tree. The repository is part of it: submodules and `.git` name it.
fn recipe_of(spec: &GitSpec, commit: &Commit) -> String {
    let facts = format!(
        "{}\n{}\n{}\n{}\n{}\n{}",
        spec.remote,
        spec.subdir,
        spec.keeps_history(),
        spec.submodules,
        spec.time_of_checkout,
        if spec.keeps_history() { commit.reference.as_str() } else { "" }
    );
    format!("git/{}/{}", commit.id, BlobDigest::of(facts.as_bytes()).hex())
}
