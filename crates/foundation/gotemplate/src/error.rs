//! In: what a template got wrong. Out: Go's words for it. Never: a template.

use thiserror::Error;

/// Why a template gave nothing. The texts are those of Go's `text/template` for a template without a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The text is no template.
    #[error("template: :{line}: {what}")]
    Syntax {
        /// 1 is the first line.
        line: usize,
        what: String,
    },
    /// The template does not fit the value.
    #[error("template: :{line}:{column}: executing \"\" at <{context}>: {what}")]
    Run {
        /// 1 is the first line.
        line: usize,
        /// Bytes in front of it on its line.
        column: usize,
        /// The part of the template.
        context: String,
        what: String,
    },
}
