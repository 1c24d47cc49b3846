//! Go's text templates (`--format '{{.Name}}'`) over a value. This room never calls out: no file, no clock, no environment; a template can neither run for ever nor fill the memory.
//!
//! In: the text of a template and a value. Out: the text it makes, or an error in Go's words. Never: a file, a clock, an environment.
//!
//! Fields, `index`, `slice`, `range`/`else`/`break`/`continue`, `if`, `with`, pipelines, variables, comments, trim markers, Go's
//! built-in functions and those of Docker's CLI (`json split join title lower upper pad truncate`). Not there: `define`,
//! `template`, `block`, `call`, `js`. The word `table` in front of a template belongs to the caller.

mod columns;
mod data;
mod error;
mod functions;
mod json;
mod lex;
mod parse;
mod print;
mod printf;
mod run;

pub use columns::{aligned, docker_table};
pub use data::{Data, Field, Unset};
pub use error::TemplateError;
pub use json::{JsonStyle, to_json};

/// A template that was understood.
#[derive(Debug)]
pub struct Template {
    source: String,
    nodes: Vec<parse::Node>,
}

/// How a template is carried out.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Is a key that a map does not have an error (`missingkey=error`), or `<no value>`?
    pub missing_key_is_error: bool,
    /// How the function `json` writes.
    pub json: JsonStyle,
}

impl Default for Options {
    /// As `docker inspect` and the lists of Docker's CLI do it: keys must be there, JSON is on one line.
    fn default() -> Self {
        Self { missing_key_is_error: true, json: JsonStyle::COMPACT }
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Text that is no template, with the line, in Go's words.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let nodes = parse::parse(source)?;
        Ok(Self { source: source.to_owned(), nodes })
    }

    /// The text the template makes of a value.
    ///
    /// # Errors
    /// A field that is not there, a function that does not take its arguments: with line and column, in Go's words.
    pub fn render(&self, data: &Data, options: &Options) -> Result<String, TemplateError> {
        run::run(&self.source, &self.nodes, data, options)
    }

    /// Does the template name this field anywhere?
    #[must_use]
    pub fn names_field(&self, name: &str) -> bool {
        parse::any(&self.nodes, &|arg| match &arg.kind {
            parse::ArgKind::Field(path) | parse::ArgKind::Variable(_, path) | parse::ArgKind::Pipe(_, path) => {
                path.iter().any(|part| part == name)
            }
            _ => false,
        })
    }

    /// Does the template use a value as a whole (`{{json .}}`, `{{.}}`), so that any field may matter?
    #[must_use]
    pub fn uses_whole(&self) -> bool {
        parse::any(&self.nodes, &|arg| match &arg.kind {
            parse::ArgKind::Dot => true,
            parse::ArgKind::Variable(_, path) => path.is_empty(),
            _ => false,
        })
    }

    /// Does the template begin with printing exactly this field, as `{{.Manifest}}`?
    #[must_use]
    pub fn begins_with_field(&self, name: &str) -> bool {
        matches!(self.nodes.first(), Some(parse::Node::Action(pipe)) if pipe.is_field(name))
    }
}

/// Carries out a template over a JSON value: keys are looked up exactly as they are written, a key that is not there is an error.
///
/// # Errors
/// Text that is no template; a field that is not there; a function that does not take its arguments.
pub fn render(template: &str, value: &serde_json::Value) -> Result<String, TemplateError> {
    Template::parse(template)?.render(&Data::from(value), &Options::default())
}

#[cfg(test)]
mod tests;
