//! In: a Go template and a value. Out: the text. Never: a template language of our own.

use crossdock_gotemplate::{Data, Options, Template};

use crate::error::CliError;

/// Exit code of the verbs that show one document for a text that is no template.
const NO_TEMPLATE: u8 = 64;

/// The text a template makes of a value.
pub fn render(template: &str, data: &Data) -> Result<String, CliError> {
    let read = Template::parse(template).and_then(|template| template.render(data, &Options::default()));
    read.map_err(|error| CliError::Usage(format!("template parsing error: {error}")))
}

/// A template for documents: it is read before they are looked for.
pub fn of_documents(template: &str) -> Result<Template, CliError> {
    Template::parse(template).map_err(|error| {
        let text = CliError::Usage(format!("template parsing error: {error}"));
        CliError::Code { source: Box::new(CliError::Bare(Box::new(text))), code: NO_TEMPLATE }
    })
}
