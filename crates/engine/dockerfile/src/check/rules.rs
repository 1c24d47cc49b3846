//! In: nothing. Out: the table of checks, each in a file of its own, and the words of their findings. Never: when a check applies; who reports it knows.

pub mod consistent_instruction_casing;
pub mod copy_ignored_file;
pub mod duplicate_stage_name;
pub mod expose_invalid_format;
pub mod expose_proto_casing;
pub mod from_as_casing;
pub mod from_platform_flag_const_disallowed;
pub mod invalid_base_image_platform;
pub mod invalid_default_arg_in_from;
pub mod invalid_definition_description;
pub mod json_args_recommended;
pub mod legacy_key_value_format;
pub mod maintainer_deprecated;
pub mod multiple_instructions_disallowed;
pub mod no_empty_continuation;
pub mod redundant_target_platform;
pub mod reserved_stage_name;
pub mod secrets_used_in_arg_or_env;
pub mod stage_name_casing;
pub mod undefined_arg_in_from;
pub mod undefined_var;
pub mod workdir_relative_path;

use crate::LineRange;

/// A check by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    StageNameCasing,
    FromAsCasing,
    NoEmptyContinuation,
    ConsistentInstructionCasing,
    DuplicateStageName,
    ReservedStageName,
    JsonArgsRecommended,
    MaintainerDeprecated,
    UndefinedArgInFrom,
    WorkdirRelativePath,
    UndefinedVar,
    MultipleInstructionsDisallowed,
    LegacyKeyValueFormat,
    InvalidBaseImagePlatform,
    RedundantTargetPlatform,
    SecretsUsedInArgOrEnv,
    InvalidDefaultArgInFrom,
    FromPlatformFlagConstDisallowed,
    CopyIgnoredFile,
    InvalidDefinitionDescription,
    ExposeProtoCasing,
    ExposeInvalidFormat,
}

/// What is the same for all findings of a rule.
pub(crate) struct RuleRow {
    name: &'static str,
    /// Last part of its address; empty where nothing is explained.
    slug: &'static str,
    description: &'static str,
}

/// A check that found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub rule: Rule,
    /// What is wrong here.
    pub text: String,
    pub lines: LineRange,
}

impl Finding {
    /// A finding.
    pub fn new(rule: Rule, text: impl Into<String>, lines: LineRange) -> Self {
        Self { rule, text: text.into(), lines }
    }
}

/// The letters of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Casing {
    Lower,
    Upper,
}

/// Whether a word is all lower or all upper case; `None` for a mixture.
pub(crate) fn casing(word: &str) -> Option<Casing> {
    if word == word.to_lowercase() {
        return Some(Casing::Lower);
    }
    (word == word.to_uppercase()).then_some(Casing::Upper)
}

impl Rule {
    /// Every check.
    pub const ALL: [Self; 22] = [
        Self::StageNameCasing,
        Self::FromAsCasing,
        Self::NoEmptyContinuation,
        Self::ConsistentInstructionCasing,
        Self::DuplicateStageName,
        Self::ReservedStageName,
        Self::JsonArgsRecommended,
        Self::MaintainerDeprecated,
        Self::UndefinedArgInFrom,
        Self::WorkdirRelativePath,
        Self::UndefinedVar,
        Self::MultipleInstructionsDisallowed,
        Self::LegacyKeyValueFormat,
        Self::InvalidBaseImagePlatform,
        Self::RedundantTargetPlatform,
        Self::SecretsUsedInArgOrEnv,
        Self::InvalidDefaultArgInFrom,
        Self::FromPlatformFlagConstDisallowed,
        Self::CopyIgnoredFile,
        Self::InvalidDefinitionDescription,
        Self::ExposeProtoCasing,
        Self::ExposeInvalidFormat,
    ];

    /// The name as users write it in `skip=`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// What the rule asks for.
    pub const fn description(self) -> &'static str {
        self.row().description
    }

    /// Where the rule is explained; empty where nothing is.
    pub fn url(self) -> String {
        let slug = self.row().slug;
        if slug.is_empty() { String::new() } else { format!("https://docs.docker.com/go/dockerfile/rule/{slug}/") }
    }

    /// Whether it counts only when asked for by `experimental=`.
    pub const fn is_experimental(self) -> bool {
        matches!(self, Self::InvalidDefinitionDescription)
    }

    const fn row(self) -> &'static RuleRow {
        match self {
            Self::StageNameCasing => &stage_name_casing::ROW,
            Self::FromAsCasing => &from_as_casing::ROW,
            Self::NoEmptyContinuation => &no_empty_continuation::ROW,
            Self::ConsistentInstructionCasing => &consistent_instruction_casing::ROW,
            Self::DuplicateStageName => &duplicate_stage_name::ROW,
            Self::ReservedStageName => &reserved_stage_name::ROW,
            Self::JsonArgsRecommended => &json_args_recommended::ROW,
            Self::MaintainerDeprecated => &maintainer_deprecated::ROW,
            Self::UndefinedArgInFrom => &undefined_arg_in_from::ROW,
            Self::WorkdirRelativePath => &workdir_relative_path::ROW,
            Self::UndefinedVar => &undefined_var::ROW,
            Self::MultipleInstructionsDisallowed => &multiple_instructions_disallowed::ROW,
            Self::LegacyKeyValueFormat => &legacy_key_value_format::ROW,
            Self::InvalidBaseImagePlatform => &invalid_base_image_platform::ROW,
            Self::RedundantTargetPlatform => &redundant_target_platform::ROW,
            Self::SecretsUsedInArgOrEnv => &secrets_used_in_arg_or_env::ROW,
            Self::InvalidDefaultArgInFrom => &invalid_default_arg_in_from::ROW,
            Self::FromPlatformFlagConstDisallowed => &from_platform_flag_const_disallowed::ROW,
            Self::CopyIgnoredFile => &copy_ignored_file::ROW,
            Self::InvalidDefinitionDescription => &invalid_definition_description::ROW,
            Self::ExposeProtoCasing => &expose_proto_casing::ROW,
            Self::ExposeInvalidFormat => &expose_invalid_format::ROW,
        }
    }
}
