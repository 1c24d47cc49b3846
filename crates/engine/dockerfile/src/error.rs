//! In: what is wrong with a Dockerfile, and where. Out: one error whose text the reference's users know. Never: an excerpt of the file (see `excerpt`).

use std::fmt;

use crate::limits;
use crate::mount::MountError;

/// Lines of a file, counted from 1, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineRange {
    pub first: u32,
    pub last: u32,
}

impl LineRange {
    /// One line.
    pub const fn line(number: u32) -> Self {
        Self { first: number, last: number }
    }

    /// From one line to another.
    pub const fn new(first: u32, last: u32) -> Self {
        Self { first, last }
    }
}

/// Why a text is no Dockerfile, and which lines say so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    pub kind: ParseErrorKind,
    /// `None` where the file as a whole is wrong.
    pub lines: Option<LineRange>,
}

impl ParseError {
    /// An error about some lines.
    pub const fn at(kind: ParseErrorKind, lines: LineRange) -> Self {
        Self { kind, lines: Some(lines) }
    }

    /// An error about the whole file.
    pub const fn whole(kind: ParseErrorKind) -> Self {
        Self { kind, lines: None }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines {
            Some(lines) => write!(out, "dockerfile parse error on line {}: {}", lines.first, self.kind),
            None => self.kind.fmt(out),
        }
    }
}

impl std::error::Error for ParseError {}

/// What is wrong. Texts are the reference's where it has one (spec/dockerfile.md §1, §12).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseErrorKind {
    #[error("the Dockerfile cannot be empty")]
    Empty,
    #[error("file with no instructions")]
    NoInstructions,
    #[error("dockerfile contains no stages to build")]
    NoStages,
    #[error("no build stage in current context: {0} stands before the first FROM, where only ARG may")]
    BeforeFirstStage(String),
    #[error("dockerfile is {0} bytes long, at most {max} are allowed", max = limits::FILE_BYTES_MAX)]
    FileTooLarge(usize),
    #[error("dockerfile line greater than max allowed size of {max}", max = limits::LINE_BYTES_MAX)]
    LineTooLong,
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("more than {max} instructions", max = limits::INSTRUCTIONS_MAX)]
    TooManyInstructions,
    #[error("more than {max} stages", max = limits::STAGES_MAX)]
    TooManyStages,
    #[error("more than {max} heredocs in one instruction", max = limits::HEREDOCS_MAX)]
    TooManyHeredocs,
    #[error("only one {0} parser directive can be used")]
    DirectiveRepeated(&'static str),
    #[error("invalid escape token '{0}' does not match ` or \\")]
    EscapeToken(String),
    #[error("unterminated heredoc: no line is {0:?}")]
    UnterminatedHeredoc(String),
    #[error("unknown instruction: {name}{}", did_you_mean(suggestion))]
    UnknownInstruction { name: String, suggestion: Option<String> },
    #[error("unknown flag: --{flag}{}", did_you_mean(suggestion))]
    UnknownFlag { flag: String, suggestion: Option<String> },
    #[error("duplicate flag specified: --{0}")]
    DuplicateFlag(String),
    #[error("missing a value on flag: --{0}")]
    FlagWithoutValue(String),
    #[error("expecting boolean value for flag --{flag}, not: {value}")]
    FlagNotBoolean { flag: String, value: String },
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStringArray,
    #[error("{0} requires at least one argument")]
    AtLeastOneArgument(&'static str),
    #[error("{0} requires exactly one argument")]
    ExactlyOneArgument(&'static str),
    #[error("{0} requires at least two arguments, but only one was provided. Destination could not be determined")]
    NoDestination(&'static str),
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    #[error("Syntax error - can't find = in {0:?}. Must be of the form: name=value")]
    NoEqualsSign(String),
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocAsDestination(&'static str),
    #[error("FROM requires either one or three arguments")]
    FromArguments,
    #[error("invalid name for build stage: {0:?}, name can't start with a number or contain symbols")]
    StageName(String),
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnbuildChain,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnbuildTrigger(String),
    #[error("onbuild trigger should be a single expression")]
    OnbuildNotSingle,
    #[error("SHELL requires the arguments to be in JSON form")]
    ShellNotJson,
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthcheckNoneArguments,
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthcheckWithoutCommand,
    #[error("Unknown type {0:?} in HEALTHCHECK (try CMD)")]
    HealthcheckType(String),
    #[error("invalid value for --{flag}: {reason}")]
    Duration { flag: &'static str, reason: DurationError },
    #[error("Interval {0:?} cannot be less than 1ms")]
    DurationTooShort(&'static str),
    #[error("invalid value for --retries: {0:?} is not a whole number from 0 to 2147483647")]
    Retries(String),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("invalid network mode {0:?}: use default, none or host")]
    Network(String),
    #[error("security {0:?} is not valid: use sandbox or insecure")]
    Security(String),
    #[error("invalid --device: {0}")]
    Device(String),
    #[error("invalid --mount: {0}")]
    Mount(#[from] MountError),
    #[error("failed to parse check options: {0}")]
    CheckOptions(String),
}

impl ParseErrorKind {
    /// Whether it is met while lines are read, before anything is made of their words: the reference's message of these
    /// says no line.
    pub const fn is_about_lines(&self) -> bool {
        matches!(
            self,
            Self::BeforeFirstStage(_)
                | Self::LineTooLong
                | Self::DirectiveRepeated(_)
                | Self::EscapeToken(_)
                | Self::UnterminatedHeredoc(_)
                | Self::TwoArguments(_)
                | Self::NoEqualsSign(_)
        )
    }
}

/// Why a text is no duration in Go's notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    #[error("time: missing unit in duration {0:?}")]
    NoUnit(String),
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit { unit: String, text: String },
}

/// The tail of an error that knows what was meant.
pub(crate) fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map_or_else(String::new, |word| format!(" (did you mean {word}?)"))
}
