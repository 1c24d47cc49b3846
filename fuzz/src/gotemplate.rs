//! In: a template, a zero byte, a JSON value. Out: nothing. Never: a panic, a template that runs for ever.

use crossdock_gotemplate::{Data, Options, Template, render};

/// Reads a template and carries it out.
pub fn run(bytes: &[u8]) {
    let (template, value) =
        bytes.iter().position(|byte| *byte == 0).map_or((bytes, &b"{}"[..]), |at| (&bytes[..at], &bytes[at + 1..]));
    let Ok(template) = std::str::from_utf8(template) else { return };
    let value: serde_json::Value = serde_json::from_slice(value).unwrap_or_default();
    let strict = render(template, &value);
    let Ok(parsed) = Template::parse(template) else {
        assert!(strict.is_err());
        return;
    };
    let lenient = parsed.render(&Data::from(&value), &Options { missing_key_is_error: false, ..Options::default() });
    // What works where keys must be there works where they need not.
    if let Ok(text) = strict {
        assert_eq!(lenient.as_deref(), Ok(text.as_str()));
    }
}
