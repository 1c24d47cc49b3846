//! In: a Go template and a value. Out: the text. Never: a template language of our own.

use crossdock_gotemplate::{Data, JsonStyle, Options, Template};
use serde_json::Value;

use crate::error::CliError;

/// The text a template makes of a row of a list. The row as a whole is written as Go's encoder does it, a field of it as
/// Docker's function `json` does.
pub fn render(template: &str, value: &Value) -> Result<String, CliError> {
    let wrong = |error| CliError::Usage(format!("template parsing error: {error}"));
    let template = Template::parse(template).map_err(wrong)?;
    let json = if template.uses_whole() { JsonStyle::LINE } else { JsonStyle::COMPACT };
    template.render(&Data::from(value), &Options { json, ..Options::default() }).map_err(wrong)
}
