//! In: the arguments of ENV or LABEL. Out: names and values, quotes kept for expansion. Never: a pair without a name.

use super::Line;
use crate::error::ParseErrorKind;
use crate::instruction::KeyValue;
use crate::split;

/// `name=value …`, or the old form `name value`, told apart by what the first word holds.
pub(super) fn parse_pairs(line: &Line<'_>) -> Result<Vec<KeyValue>, ParseErrorKind> {
    let words = split::quoted_words(line.parts.rest, line.escape);
    let Some(first) = words.first() else { return Err(ParseErrorKind::AtLeastOneArgument(line.name)) };
    if !first.contains('=') {
        let (key, value) =
            line.parts.rest.split_once(split::is_blank).ok_or(ParseErrorKind::TwoArguments(line.name))?;
        let value = value.trim_start_matches(split::is_blank);
        return Ok(vec![KeyValue { key: key.to_owned(), value: value.to_owned(), legacy: true }]);
    }
    words
        .iter()
        .map(|word| {
            let (key, value) = word.split_once('=').ok_or_else(|| ParseErrorKind::NoEqualsSign(word.clone()))?;
            if key.is_empty() {
                return Err(ParseErrorKind::BlankName(line.name));
            }
            Ok(KeyValue { key: key.to_owned(), value: value.to_owned(), legacy: false })
        })
        .collect()
}
