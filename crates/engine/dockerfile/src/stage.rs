//! In: the bytes of a Dockerfile. Out: its global arguments and stages, and the ways to name a stage. Never: a stage resolved to an image.

use std::collections::BTreeSet;

use crate::directive::{Directive, DirectiveKey};
use crate::error::{ParseError, ParseErrorKind, did_you_mean};
use crate::instruction::{ArgDefinition, Command, Instruction};
use crate::lex::{self, Lexed};
use crate::limits::STAGES_MAX;
use crate::parse::{self, From, Parsed, parse_statement};
use crate::{LineRange, suggest};

/// A parsed Dockerfile; it has at least one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// `\` or a backtick.
    pub escape: char,
    pub directives: Vec<Directive>,
    /// ARG before the first FROM.
    pub global_args: Vec<GlobalArg>,
    pub stages: Vec<Stage>,
    /// Where an empty line stands among continuations (check NoEmptyContinuation).
    pub empty_continuations: Vec<LineRange>,
}

/// An ARG before the first FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GlobalArg {
    pub definitions: Vec<ArgDefinition>,
    pub lines: LineRange,
    pub comments: Vec<String>,
}

/// A FROM with what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// In lower case.
    pub name: Option<String>,
    /// Image, stage or named context, variables not expanded.
    pub base: String,
    /// `--platform`, variables not expanded.
    pub platform: Option<String>,
    /// As written: `FROM`, `from`.
    pub keyword: String,
    /// As written: `AS`, `as`.
    pub as_keyword: Option<String>,
    /// The name with the letters as written.
    pub name_written: Option<String>,
    /// The line of the FROM, trimmed.
    pub source: String,
    /// Of the FROM.
    pub lines: LineRange,
    pub comments: Vec<String>,
    /// From a comment `# <name> <description>` right above.
    pub description: Option<String>,
    pub instructions: Vec<Instruction>,
}

/// Why no stage has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StageError {
    #[error("target stage {name:?} could not be found{}", did_you_mean(suggestion))]
    NoTarget { name: String, suggestion: Option<String> },
    #[error("invalid stage index {0}")]
    Index(String),
}

impl Dockerfile {
    /// Parses a file's bytes.
    ///
    /// # Errors
    /// When they are no Dockerfile; the error names the lines.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ParseError> {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self::parse(text);
        }
        let lines = (1..).zip(bytes.split(|byte| *byte == b'\n'));
        let not_utf8 = lines.filter(|(_, line)| std::str::from_utf8(line).is_err()).map(|(number, _)| number).collect();
        Self::parse_with(&String::from_utf8_lossy(bytes), &not_utf8)
    }

    /// Parses a text.
    ///
    /// # Errors
    /// When it is no Dockerfile; the error names the lines.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_with(text, &BTreeSet::new())
    }

    fn parse_with(text: &str, not_utf8: &BTreeSet<u32>) -> Result<Self, ParseError> {
        let Lexed { statements, directives, escape, empty_continuations } = lex::lex_with(text, not_utf8)?;
        let mut global_args = Vec::new();
        let mut stages: Vec<Stage> = Vec::new();
        for statement in &statements {
            match parse_statement(statement, escape)? {
                Parsed::From(from) => {
                    if stages.len() >= STAGES_MAX {
                        return Err(ParseError::at(ParseErrorKind::TooManyStages, statement.lines));
                    }
                    stages.push(new_stage(from, statement, escape));
                }
                Parsed::Instruction(instruction) => match (stages.last_mut(), instruction) {
                    (Some(stage), instruction) => stage.instructions.push(instruction),
                    (None, Instruction { command: Command::Arg(definitions), lines, comments, .. }) => {
                        global_args.push(GlobalArg { definitions, lines, comments });
                    }
                    (None, instruction) => {
                        let kind = ParseErrorKind::BeforeFirstStage(instruction.keyword);
                        return Err(ParseError::at(kind, instruction.lines));
                    }
                },
            }
        }
        if stages.is_empty() {
            return Err(ParseError::whole(ParseErrorKind::NoStages));
        }
        Ok(Self { escape, directives, global_args, stages, empty_continuations })
    }

    /// The value of a parser directive.
    pub fn directive(&self, key: DirectiveKey) -> Option<&Directive> {
        self.directives.iter().find(|directive| directive.key == key)
    }

    /// The stage of this name, without regard to case; of several the last.
    pub fn stage_named(&self, name: &str) -> Option<usize> {
        self.stage_named_before(name, self.stages.len())
    }

    /// The same among the stages in front of one.
    pub fn stage_named_before(&self, name: &str, before: usize) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages[..before.min(self.stages.len())].iter().rposition(|stage| stage.name.as_ref() == Some(&name))
    }

    /// The stage `--target` asks for: by name or number; the last when nothing is asked for.
    ///
    /// # Errors
    /// When there is no such stage; the error knows the nearest name.
    pub fn target(&self, name: Option<&str>) -> Result<usize, StageError> {
        let Some(name) = name else { return Ok(self.stages.len() - 1) };
        let by_number = || name.parse::<usize>().ok().filter(|index| *index < self.stages.len());
        self.stage_named(name).or_else(by_number).ok_or_else(|| {
            let names = self.stages.iter().filter_map(|stage| stage.name.as_deref());
            StageError::NoTarget { name: name.to_owned(), suggestion: suggest::nearest(name, names) }
        })
    }

    /// The stage that `COPY --from` names by number; `None` when the text is no number.
    ///
    /// # Errors
    /// When there is no stage of this number.
    pub fn stage_numbered(&self, text: &str) -> Result<Option<usize>, StageError> {
        let signless = text.strip_prefix(['-', '+']).unwrap_or(text);
        if signless.is_empty() || !signless.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(None);
        }
        let number = text.parse::<usize>().ok().filter(|index| *index < self.stages.len());
        number.map(Some).ok_or_else(|| StageError::Index(text.to_owned()))
    }
}

impl Stage {
    /// How steps of the stage number `index` are labelled.
    pub fn label(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| format!("stage-{index}"))
    }
}

fn new_stage(from: From, statement: &lex::Statement, escape: char) -> Stage {
    let keyword = crate::split::split_line(&statement.text, escape).keyword.to_owned();
    let description = from.name.as_ref().and_then(|name| parse::description(&statement.comments, name));
    Stage {
        name: from.name,
        base: from.base,
        platform: from.platform,
        keyword,
        as_keyword: from.as_keyword,
        name_written: from.name_written,
        source: statement.text.trim().to_owned(),
        lines: statement.lines,
        comments: statement.comments.clone(),
        description,
        instructions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_found_by_name_and_number() {
        let file = Dockerfile::parse("ARG V\nFROM a AS Build\nFROM b\nFROM build AS build\n").unwrap();
        assert_eq!(file.stage_named("BUILD"), Some(2));
        assert_eq!(file.stage_named_before("build", 2), Some(0));
        assert_eq!(file.target(None), Ok(2));
        assert_eq!(file.target(Some("1")), Ok(1));
        assert_eq!(
            file.target(Some("buld")).unwrap_err().to_string(),
            "target stage \"buld\" could not be found (did you mean build?)"
        );
        assert_eq!(file.stage_numbered("1"), Ok(Some(1)));
        assert_eq!(file.stage_numbered("build"), Ok(None));
        assert_eq!(file.stage_numbered("7").unwrap_err().to_string(), "invalid stage index 7");
        assert_eq!(file.stage_numbered("-1").unwrap_err().to_string(), "invalid stage index -1");
        assert_eq!((file.stages[0].label(0), file.stages[1].label(1)), ("build".to_owned(), "stage-1".to_owned()));
    }

    #[test]
    fn bytes_that_are_no_text_name_their_line() {
        let error = Dockerfile::from_bytes(b"FROM a\nRUN \xff\n").unwrap_err();
        assert_eq!(error.to_string(), "dockerfile parse error on line 2: the text is not UTF-8");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Dockerfile::from_bytes(&bytes);
        }

        #[test]
        fn no_words_panic(words in proptest::collection::vec(
            "(FROM|RUN|COPY|ADD|ENV|ARG|ONBUILD|HEALTHCHECK|SHELL|VOLUME|EXPOSE|CMD|AS|--mount=|--from=|--interval=|NONE|a|=|,|\\[|\\]|\"| |\n|<<E|E|\\\\)", 0..40)) {
            let _ = Dockerfile::parse(&words.concat());
        }
    }
}
