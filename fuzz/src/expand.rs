//! In: any text as a word with variables. Out: nothing. Never: a panic, a hang, a result beyond its limit.

use std::collections::BTreeMap;

use crossdock_dockerfile::{Expander, limits};

/// Expands a word in every manner there is.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let variables = BTreeMap::from([("A".to_owned(), "a*b/c.d".to_owned()), ("B".to_owned(), String::new())]);
    for expander in [Expander::new('\\'), Expander::new('`'), Expander::for_display('\\'), Expander::for_content()] {
        if let Ok(expansion) = expander.word(text, &variables) {
            assert!(expansion.text.len() <= limits::EXPANSION_BYTES_MAX);
        }
        let _ = expander.words(text, &variables);
    }
}
