//! In: one value of a flag. Out: its comma-separated fields. Never: more than one line.

/// Why a text is no line of comma-separated values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsvError {
    #[error("it is empty")]
    Empty,
    #[error("a quote stands inside an unquoted field at character {0}")]
    BareQuote(usize),
    #[error("a quoted field is not closed, or text follows its closing quote, at character {0}")]
    Quote(usize),
}

/// Splits at commas; a field in double quotes may hold commas and, doubled, quotes.
pub fn fields(text: &str) -> Result<Vec<String>, CsvError> {
    if text.is_empty() {
        return Err(CsvError::Empty);
    }
    let mut fields = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    loop {
        let mut field = String::new();
        if chars.next_if(|(_, c)| *c == '"').is_some() {
            loop {
                match chars.next() {
                    Some((_, '"')) if chars.next_if(|(_, c)| *c == '"').is_some() => field.push('"'),
                    Some((_, '"')) => break,
                    Some((_, c)) => field.push(c),
                    None => return Err(CsvError::Quote(text.chars().count())),
                }
            }
            if let Some((at, c)) = chars.peek()
                && *c != ','
            {
                return Err(CsvError::Quote(*at));
            }
        } else {
            while let Some((at, c)) = chars.next_if(|(_, c)| *c != ',') {
                if c == '"' {
                    return Err(CsvError::BareQuote(at));
                }
                field.push(c);
            }
        }
        fields.push(field);
        if chars.next().is_none() {
            return Ok(fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_quotes() {
        assert_eq!(fields("type=bind,src=a").unwrap(), ["type=bind", "src=a"]);
        assert_eq!(fields("\"a,b\",c").unwrap(), ["a,b", "c"]);
        assert_eq!(fields("\"a\"\"b\"").unwrap(), ["a\"b"]);
        assert_eq!(fields("a,").unwrap(), ["a", ""]);
        assert_eq!(fields(""), Err(CsvError::Empty));
        assert_eq!(fields("a\"b"), Err(CsvError::BareQuote(1)));
        assert_eq!(fields("\"a"), Err(CsvError::Quote(2)));
        assert_eq!(fields("\"a\"b"), Err(CsvError::Quote(3)));
    }
}
