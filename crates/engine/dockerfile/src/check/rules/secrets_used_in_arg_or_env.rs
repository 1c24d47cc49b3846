//! Check SecretsUsedInArgOrEnv, explained in docs/checks/secrets-used-in-arg-or-env.md. In: the name of a variable. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "SecretsUsedInArgOrEnv",
    slug: "secrets-used-in-arg-or-env",
    description: "Sensitive data should not be used in the ARG or ENV commands",
};

/// Words that make a variable's name look like a secret's, and words that say it is none.
const SECRET_WORDS: [&str; 10] =
    ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
const HARMLESS_WORDS: [&str; 3] = ["public", "file", "version"];

/// A name that sounds like a secret's: its value stays in the image's config and history.
pub fn text(instruction: &str, name: &str) -> Option<String> {
    let has = |list: &[&str]| name.split('_').any(|word| list.contains(&word.to_lowercase().as_str()));
    (has(&SECRET_WORDS) && !has(&HARMLESS_WORDS))
        .then(|| format!("Do not use ARG or ENV instructions for sensitive data ({instruction} \"{name}\")"))
}
