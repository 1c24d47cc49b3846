//! In: a value. Out: its text, as Go's `%v` prints it. Never: JSON.

use crate::data::Data;

/// The text of a value; `nil` stands for itself only inside of something, templates print it as `<no value>`.
pub fn text(data: &Data) -> String {
    let mut out = String::new();
    write(&mut out, data);
    out
}

fn write(out: &mut String, data: &Data) {
    match data {
        Data::Nil => out.push_str("<nil>"),
        Data::Unset(unset) => out.push_str(unset.text()),
        Data::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Data::Int(value) => out.push_str(&value.to_string()),
        Data::Float(value) => out.push_str(&float(*value)),
        Data::Lookup { .. } => {}
        Data::Text(text) | Data::Shown { text, .. } => out.push_str(text),
        Data::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write(out, item);
            }
            out.push(']');
        }
        Data::Map(entries) | Data::Texts(entries) => {
            out.push_str("map[");
            for (at, (key, value)) in entries.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                write(out, value);
            }
            out.push(']');
        }
        Data::Struct { fields, .. } => {
            out.push('{');
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write(out, &field.value);
            }
            out.push('}');
        }
    }
}

/// Go's shortest form: with an exponent below 1e-4 and from 1e21 on.
pub fn float(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return match value {
            value if value.is_nan() => "NaN".to_owned(),
            f64::INFINITY => "+Inf".to_owned(),
            f64::NEG_INFINITY => "-Inf".to_owned(),
            _ => "0".to_owned(),
        };
    }
    if (1e-4..1e21).contains(&value.abs()) {
        return value.to_string();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, power) = exponent.strip_prefix('-').map_or(('+', exponent), |power| ('-', power));
    format!("{digits}e{sign}{power:0>2}")
}
