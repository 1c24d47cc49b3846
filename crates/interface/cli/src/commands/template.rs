//! In: a Go template and a value. Out: the text. Never: a template language of our own.

use serde_json::Value;

use crate::error::CliError;

/// The text a template makes of a value; `json` alone is the value itself.
pub fn render(template: &str, value: &Value) -> Result<String, CliError> {
    if template == "json" {
        return Ok(value.to_string());
    }
    crossdock_gotemplate::render(template, value)
        .map_err(|error| CliError::Usage(format!("template parsing error: {error}")))
}
