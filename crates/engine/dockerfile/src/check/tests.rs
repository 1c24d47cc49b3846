use super::*;
use crate::Dockerfile;

fn found(text: &str, options: &str) -> Vec<String> {
    let file = Dockerfile::parse(text).unwrap();
    let config = CheckConfig::parse(options).unwrap();
    findings_of_file(&file, &config)
        .into_iter()
        .map(|finding| format!("{}: {} (line {})", finding.rule.name(), finding.text, finding.lines.first))
        .collect()
}

#[test]
fn the_seeds_trigger_what_the_transcripts_show() {
    assert_eq!(
        found("FROM golang:1.19 as build\nMAINTAINER leid\n", ""),
        [
            "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)",
            "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)"
        ]
    );
}

#[test]
fn names_casing_and_continuations() {
    let text = "FROM a AS Base\nRUN x \\\n\n y\nFROM b AS base\nrun z\nFROM c AS scratch\n";
    assert_eq!(
        found(text, ""),
        [
            "NoEmptyContinuation: Empty continuation line (line 4)",
            "StageNameCasing: Stage name 'Base' should be lowercase (line 1)",
            "DuplicateStageName: Duplicate stage name \"base\", stage names should be unique (line 5)",
            "ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\" (line 7)",
            "ConsistentInstructionCasing: Command 'run' should match the case of the command majority (uppercase) (line 6)"
        ]
    );
    assert!(found(text, "skip=all").is_empty());
    assert_eq!(found(text, "skip=StageNameCasing, DuplicateStageName,ReservedStageName").len(), 2);
    assert!(found("from a as b\nrun x\n", "").is_empty());
}

#[test]
fn comments_skip_a_rule_for_one_instruction() {
    assert!(found("ARG A\n# check=skip=FromAsCasing\n# a comment\nFROM a as b\n", "").is_empty());
    assert_eq!(found("FROM a\n# check=skip=MaintainerDeprecated\nMAINTAINER x\nMAINTAINER y\n", "").len(), 1);
}

#[test]
fn experimental_rules_count_when_asked_for() {
    let text = "# nothing\nARG A\n# base good\nFROM a AS base\n# odd\nFROM b AS other\n";
    assert!(found(text, "").is_empty());
    assert_eq!(
        found(text, "experimental=InvalidDefinitionDescription"),
        [
            "InvalidDefinitionDescription: Comment for ARG should follow the format: `# A <description>` (line 2)",
            "InvalidDefinitionDescription: Comment for FROM should follow the format: `# other <description>` (line 6)"
        ]
    );
}

#[test]
fn options_are_checked() {
    assert!(CheckConfig::parse("error=true").unwrap().findings_are_errors);
    assert_eq!(CheckConfig::parse("skip").unwrap_err().to_string(), "invalid check option \"skip\"");
    assert_eq!(CheckConfig::parse("x=1").unwrap_err().to_string(), "invalid check option \"x\"");
    assert!(CheckConfig::parse("error=perhaps").is_err());
    assert_eq!(
        CheckConfig::violation([Rule::FromAsCasing, Rule::FromAsCasing, Rule::CopyIgnoredFile]),
        "lint violation found for rules: CopyIgnoredFile, FromAsCasing"
    );
    assert_eq!(Rule::FromAsCasing.url(), "https://docs.docker.com/go/dockerfile/rule/from-as-casing/");
}
