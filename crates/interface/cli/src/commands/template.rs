//! In: a Go template and a value. Out: the text. Never: a template language of our own.

use crossdock_gotemplate::{Data, JsonStyle, Options, Template};

use crate::error::CliError;

/// Exit code of the verbs that show one document for a text that is no template.
const NO_TEMPLATE: u8 = 64;

/// The text a template makes of a row of a list. The row as a whole is written as Go's encoder does it, a field of it as
/// Docker's function `json` does.
pub fn render(template: &str, data: &Data) -> Result<String, CliError> {
    let wrong = |error| CliError::Usage(format!("template parsing error: {error}"));
    let template = Template::parse(template).map_err(wrong)?;
    let json = if template.uses_whole() { JsonStyle::LINE } else { JsonStyle::COMPACT };
    template.render(data, &Options { json, ..Options::default() }).map_err(wrong)
}

/// A template for documents: it is read before they are looked for.
pub fn of_documents(template: &str) -> Result<Template, CliError> {
    Template::parse(template).map_err(|error| {
        let text = CliError::Usage(format!("template parsing error: {error}"));
        CliError::Code { source: Box::new(CliError::Bare(Box::new(text))), code: NO_TEMPLATE }
    })
}
