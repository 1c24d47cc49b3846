//! In: COPY, ADD and WORKDIR. Out: file ops, and a merge for `--link`. Never: a look at the sources.
//!
//! Semantics of spec/dockerfile.md §4; what the op does with wildcards, symlinks and owners is the executor's business.

use crossdock_dockerfile::check::rules;
use crossdock_dockerfile::{Add, Copy, Expander, InlineFile, Rule, SourcesAndDest};
use crossdock_llb::{CopyAction, Edge, FileActionKind, MergeOp, Metadata, MkDirAction, MkFileAction, Op};

use super::file_op::FileOpBuilder;
use super::mode::{self, Mode};
use super::remote::{self, Named};
use super::stage::StageState;
use super::{Lowering, paths};
use crate::error::ErrorKind;
use crate::plan::{Source, Step};
use crate::step_name::expand_text;

/// Permission bits of a heredoc's file and of a WORKDIR.
const INLINE_FILE_MODE: u32 = 0o644;
const WORKDIR_MODE: u32 = 0o755;

/// Why a name cannot be looked up.
const NO_FILES: &str = "the stage has no files yet";
const LINKED: &str = "--link copies into an empty tree";

/// What COPY and ADD have in common, expanded.
struct Job<'a> {
    paths: SourcesAndDest,
    chown: String,
    chmod: String,
    mode: Mode,
    /// Patterns of what is left out, as they are written: the reference expands nothing in them.
    exclude: Vec<String>,
    /// The sources' directories come along.
    parents: bool,
    link: bool,
    from: &'a Source,
    /// Of a path: an archive is unpacked.
    unpack: bool,
    /// An ADD, with its checksum expanded.
    add: Option<(&'a Add, String)>,
}

/// Where a copy begins, and what of it is taken.
struct Pick {
    src: String,
    include: Vec<String>,
    /// What must be there: a pattern may match nothing, a path may not.
    required: Vec<String>,
}

impl Pick {
    /// With `--parents` the copy begins at the root, or at what stands in front of `/./`, and takes what matches the rest.
    fn of(source: &str, parents: bool) -> Self {
        if !parents {
            return Self { src: paths::clean(source), include: Vec::new(), required: Vec::new() };
        }
        let (src, pattern) = source.split_once("/./").unwrap_or(("/", source));
        let pattern = paths::clean(pattern).trim_start_matches('/').to_owned();
        let required = if is_pattern(&pattern) { Vec::new() } else { vec![pattern.clone()] };
        Self { src: paths::clean(src), include: vec![pattern], required }
    }
}

/// Whether a path has wildcards.
fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '\\'])
}

impl Lowering<'_> {
    pub(super) fn lower_copy(&mut self, state: &mut StageState, step: &Step, copy: &Copy) -> Result<(), ErrorKind> {
        let from = step.sources.first().unwrap_or(&Source::Context);
        let job = self.expand_job(state, &copy.paths, &copy.chown, &copy.chmod, &copy.exclude)?;
        self.place(state, step, &Job { link: copy.link, from, parents: copy.parents, ..job })
    }

    pub(super) fn lower_add(&mut self, state: &mut StageState, step: &Step, add: &Add) -> Result<(), ErrorKind> {
        let checksum = self.expand(state, &add.checksum)?;
        let job = self.expand_job(state, &add.paths, &add.chown, &add.chmod, &add.exclude)?;
        remote::check_checksum(&checksum, &job.paths.sources)?;
        let unpack = add.unpack.unwrap_or(true);
        let link = add.link;
        let add = Some((add, checksum));
        self.place(state, step, &Job { link, from: &Source::Context, unpack, add, ..job })
    }

    /// Expands everything that may hold variables, in the reference's order.
    fn expand_job(
        &mut self,
        state: &StageState,
        written: &SourcesAndDest,
        chown: &str,
        chmod: &str,
        exclude: &[String],
    ) -> Result<Job<'static>, ErrorKind> {
        let chown = self.expand(state, chown)?;
        let chmod = self.expand(state, chmod)?;
        let mut sources = Vec::with_capacity(written.sources.len());
        for source in &written.sources {
            sources.push(self.expand(state, source)?);
        }
        let dest = self.expand(state, &written.dest)?;
        let mut files = Vec::with_capacity(written.files.len());
        for file in &written.files {
            let content = if file.expand {
                self.expand_with(&Expander::for_content(), state, &file.content)?
            } else {
                file.content.clone()
            };
            self.spend(content.len())?;
            files.push(InlineFile { content, ..file.clone() });
        }
        let mode = mode::parse(&chmod)?;
        let paths = SourcesAndDest { sources, files, dest };
        let from = &Source::Context;
        Ok(Job {
            paths,
            chown,
            chmod,
            mode,
            exclude: exclude.to_vec(),
            parents: false,
            link: false,
            from,
            unpack: false,
            add: None,
        })
    }

    fn place(&mut self, state: &mut StageState, step: &Step, job: &Job<'_>) -> Result<(), ErrorKind> {
        let named: Vec<Named> =
            job.paths.sources.iter().map(|source| Named::of(source, job.add.is_some())).collect::<Result<_, _>>()?;
        let (from, is_ready) = self.source_edge_if_used(job, &named);
        if !is_ready {
            return Err(self.copied_too_early(job.from));
        }
        // The order of the two names is that of the reference: the copy's is taken back for the merge.
        let text = expand_text(&self.expander(), &step.instruction.source, &state.environment);
        let name = self.step_name(state, &text);
        let link = job.link && job.chmod.is_empty();
        let base = if link { None } else { state.edge };
        let mut op = FileOpBuilder::on(base);
        let owner = match job.chown.as_str() {
            "" => None,
            chown => Some(op.owner(chown, if link { LINKED } else { NO_FILES })?),
        };
        let common = CopyAction {
            dest: paths::destination(&state.directory(), &job.paths.dest),
            owner,
            mode: job.mode.bits,
            mode_text: job.mode.text.clone(),
            create_dest_path: true,
            ..CopyAction::default()
        };
        for (source, named) in job.paths.sources.iter().zip(&named) {
            let common = CopyAction { exclude_patterns: job.exclude.clone(), ..common.clone() };
            if let Some((add, checksum)) = &job.add
                && let Some((edge, copy)) = self.remote(named, add, checksum, &name, state.ignore_cache)?
            {
                let (src, attempt_unpack) = (copy.src, copy.attempt_unpack);
                op.add_copy(FileActionKind::Copy(CopyAction { src, attempt_unpack, ..common }), Some(edge));
                continue;
            }
            self.note_source(source, job);
            let pick = Pick::of(source, job.parents);
            op.add_copy(
                FileActionKind::Copy(CopyAction {
                    src: pick.src,
                    include_patterns: pick.include,
                    required_paths: pick.required,
                    follow_symlink: true,
                    dir_copy_contents: true,
                    attempt_unpack: job.unpack,
                    allow_wildcard: true,
                    allow_empty_wildcard: true,
                    ..common
                }),
                from,
            );
        }
        for file in &job.paths.files {
            let inline = self.inline_file(&file.name, INLINE_FILE_MODE, file.content.as_bytes());
            let copy = CopyAction { src: paths::clean(&file.name), ..common.clone() };
            op.add_copy(FileActionKind::Copy(copy), Some(inline));
        }
        let (op, inputs) = op.finish();
        let metadata = self.metadata(name, state.ignore_cache);
        let copied = self.graph.add(op, inputs, None, metadata);
        let edge = if link { self.link(state, copied, &text) } else { copied };
        state.edge = Some(edge);
        let history = history_text(job);
        self.spend(history.len())?;
        state.commit(history, Some(edge));
        Ok(())
    }

    /// The source's tree, unless nothing is copied from it.
    fn source_edge_if_used(&mut self, job: &Job<'_>, named: &[Named]) -> (Option<Edge>, bool) {
        if !named.contains(&Named::Path) && matches!(job.from, Source::Context) {
            return (None, true);
        }
        self.source_edge(job.from)
    }

    fn copied_too_early(&self, from: &Source) -> ErrorKind {
        let label = |index: usize| self.setting.file.stages[index].label(index);
        let from = if let Source::Stage(index) = from { label(*index) } else { String::new() };
        ErrorKind::CopyFromLater { from, stage: label(self.stage) }
    }

    /// Puts a tree of its own on the stage's.
    fn link(&mut self, state: &mut StageState, copied: Edge, text: &str) -> Edge {
        let Some(base) = state.edge else { return copied };
        state.namer.back();
        let name = self.step_name(state, &format!("LINK {text}"));
        let metadata = self.metadata(name, state.ignore_cache);
        self.graph.add(Op::Merge(MergeOp { inputs: vec![0, 1] }), vec![base, copied], None, metadata)
    }

    /// Remembers a path of the context, and warns when an ignore pattern hides it.
    fn note_source(&mut self, source: &str, job: &Job<'_>) {
        let path = paths::clean(source);
        self.note_path(job.from, path.clone());
        if !matches!(job.from, Source::Context) {
            return;
        }
        if let Some(ignore) = self.setting.ignore_file
            // With exceptions a hidden directory may still hold what is meant.
            && !ignore.patterns.has_exceptions()
        {
            let is_hidden = match path.as_str() {
                "/" => ignore.patterns.texts().iter().any(|text| matches!(text.as_str(), "*" | "**" | "**/*")),
                path => ignore.patterns.is_ignored(&path[1..]),
            };
            if is_hidden {
                let text = rules::copy_ignored_file::text(job.add.is_some(), source, &ignore.name);
                self.report(Rule::CopyIgnoredFile, text);
            }
        }
    }

    /// A file whose content stands in the Dockerfile, alone in a tree.
    pub(super) fn inline_file(&mut self, name: &str, mode: u32, content: &[u8]) -> Edge {
        let mut op = FileOpBuilder::on(None);
        let path = paths::clean(name);
        op.add(FileActionKind::MkFile(MkFileAction {
            path,
            mode,
            data: content.to_vec(),
            owner: None,
            timestamp_ns: None,
        }));
        let (op, inputs) = op.finish();
        let metadata = Metadata { name: "[internal] preparing inline document".to_owned(), ..Metadata::default() };
        self.graph.add(op, inputs, None, metadata)
    }

    pub(super) fn lower_workdir(&mut self, state: &mut StageState, step: &Step, path: &str) -> Result<(), ErrorKind> {
        let path = self.expand(state, path)?;
        if let Some(text) = rules::workdir_relative_path::text(&path).filter(|_| !state.has_workdir) {
            self.report(Rule::WorkdirRelativePath, text);
        }
        state.has_workdir = true;
        let written = paths::working_directory(&state.directory(), &path);
        let directory = paths::clean(&written);
        state.image.config.working_dir.clone_from(&written);
        let mut edge = None;
        if directory != "/" {
            let mut op = FileOpBuilder::on(state.edge);
            let owner = match state.image.config.user.as_str() {
                "" => None,
                user => Some(op.owner(user, NO_FILES)?),
            };
            let timestamp_ns = self.setting.epoch.map(|epoch| i64::try_from(epoch.nanoseconds()).unwrap_or(i64::MAX));
            let path = directory;
            op.add(FileActionKind::MkDir(MkDirAction {
                path,
                mode: WORKDIR_MODE,
                make_parents: true,
                owner,
                timestamp_ns,
            }));
            let (op, inputs) = op.finish();
            let text = expand_text(&self.expander(), &step.instruction.source, &state.environment);
            let name = self.step_name(state, &text);
            let metadata = self.metadata(name, false);
            edge = Some(self.graph.add(op, inputs, None, metadata));
            state.edge = edge;
        }
        state.commit(format!("WORKDIR {written}"), edge);
        Ok(())
    }
}

/// `COPY --chown=… src… dest # buildkit` (spec/dockerfile.md §3).
fn history_text(job: &Job<'_>) -> String {
    let mut text = String::from(if job.add.is_some() { "ADD" } else { "COPY" });
    if job.parents {
        text.push_str(" --parents");
    }
    for (flag, value) in [("chown", &job.chown), ("chmod", &job.chmod)] {
        if !value.is_empty() {
            text.push_str(&format!(" --{flag}={value}"));
        }
    }
    for source in &job.paths.sources {
        text.push_str(&format!(" {source}"));
    }
    for file in &job.paths.files {
        text.push_str(&format!(" <<{}", file.name));
    }
    format!("{text} {} # buildkit", job.paths.dest)
}
