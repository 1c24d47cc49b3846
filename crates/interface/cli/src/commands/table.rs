//! In: rows of words. Out: columns as Docker prints them. Never: a line cut.

use crossdock_gotemplate::{Data, aligned, docker_table};
use serde_json::Value;

use super::template::render;
use crate::error::CliError;

/// Lines with every column as wide as its longest word, three blanks between columns, none at the end.
pub fn lines(rows: &[Vec<String>]) -> Vec<String> {
    aligned(rows, 0, 3).iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Rows as `--format` wants them: each by the template, or as JSON; `table TEMPLATE` with a heading of the fields' names.
pub fn formatted(format: &str, headings: &[(&str, &str)], rows: &[Value]) -> Result<Vec<String>, CliError> {
    formatted_with(format, headings, rows, &|data, _| data)
}

/// The same; `extend` gives each row what templates know beside its fields, and the headings (`None`) the same.
pub fn formatted_with(
    format: &str,
    headings: &[(&str, &str)],
    rows: &[Value],
    extend: &dyn Fn(Data, Option<usize>) -> Data,
) -> Result<Vec<String>, CliError> {
    if format == "json" {
        return rows.iter().map(|row| render("{{json .}}", &Data::from(row))).collect();
    }
    let words: serde_json::Map<String, Value> =
        headings.iter().map(|(field, heading)| ((*field).to_owned(), Value::from(*heading))).collect();
    let words = extend(Data::from(&Value::Object(words)), None);
    let rows = rows.iter().enumerate().map(|(at, row)| extend(Data::from(row), Some(at)));
    let Some(template) = format.strip_prefix("table ") else {
        if rows.len() == 0 {
            // Without rows, too, what is wrong with the template is said.
            render(format, &words)?;
        }
        return rows.map(|row| render(format, &row)).collect();
    };
    let template = template.replace("\\t", "\t");
    let cells = |data: &Data| -> Result<Vec<String>, CliError> {
        Ok(render(&template, data)?.split('\t').map(str::to_owned).collect())
    };
    let mut lines = vec![cells(&words)?];
    for row in rows {
        lines.push(cells(&row)?);
    }
    Ok(docker_table(&lines))
}

/// At most so many characters, the last one an ellipsis.
pub fn ellipsis(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    text.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

/// `2024-05-06 07:08:09 +0000 UTC`
pub fn date(time: crossdock_oci::Timestamp) -> String {
    let text = crossdock_oci::Timestamp::from_seconds(time.seconds()).to_string();
    format!("{} +0000 UTC", text.trim_end_matches('Z').replace('T', " "))
}

/// `3 minutes ago`, as Docker says it.
pub fn ago(seconds: u64) -> String {
    format!("{} ago", duration(seconds))
}

/// `3 minutes`, as Docker says it.
pub fn duration(seconds: u64) -> String {
    let unit = |count: u64, name: &str| {
        if count == 1 {
            format!("About a{} {name}", if name == "hour" { "n" } else { "" })
        } else {
            format!("{count} {name}s")
        }
    };
    // Docker rounds hours and cuts off the rest of every other unit.
    let hours = (seconds + 1800) / 3600;
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..3600 => unit(seconds / 60, "minute"),
        _ if hours < 48 => unit(hours, "hour"),
        3600..1_209_600 => format!("{} days", seconds / 86_400),
        1_209_600..5_184_000 => format!("{} weeks", seconds / 604_800),
        5_184_000..63_072_000 => format!("{} months", seconds / 2_592_000),
        _ => format!("{} years", seconds / 31_536_000),
    }
}

/// `4.43MB`: three digits, decimal units, as Docker's tables print sizes.
pub fn size(bytes: u64) -> String {
    size_of(bytes, 3)
}

/// As [`size`] with so many digits; zeros behind the point are left out, as Go's `%g` does it.
pub fn size_of(bytes: u64, digits: i32) -> String {
    const UNITS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let before = if value >= 100.0 { 3 } else { 1 + i32::from(value >= 10.0) };
    let text = format!("{value:.*}", usize::try_from(digits - before).unwrap_or(0));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_as_gos_encoder_writes_them() {
        let row = serde_json::json!({ "ID": "<missing>" });
        let made = |format: &str| formatted(format, &[("ID", "IMAGE")], std::slice::from_ref(&row)).unwrap();
        assert_eq!(made("json"), [r#"{"ID":"\u003cmissing\u003e"}"#]);
        assert_eq!(made("{{json .}}"), made("json"));
        assert_eq!(made("{{json .ID}}"), [r#""<missing>""#]);
        assert_eq!(made("table {{.ID}}"), ["IMAGE", "<missing>"]);
    }

    #[test]
    fn words_as_docker_says_them() {
        assert_eq!(
            [ago(0), ago(30), ago(60), ago(7200), ago(3600), ago(864_000)],
            [
                "Less than a second ago",
                "30 seconds ago",
                "About a minute ago",
                "2 hours ago",
                "About an hour ago",
                "10 days ago"
            ]
        );
        assert_eq!(
            [size(1_100_000), size(999), size(0), size(2_000), size_of(1_100_892, 4)],
            ["1.1MB", "999B", "0B", "2kB", "1.101MB"]
        );
        assert_eq!([size(10_040_000), size(3_168_999), size_of(3_168_999, 4)], ["10MB", "3.17MB", "3.169MB"]);
        assert_eq!(
            [ago(5_400), ago(5_399), ago(169_200), ago(172_800)],
            ["2 hours ago", "About an hour ago", "47 hours ago", "2 days ago"]
        );
        assert_eq!(
            [size(12), size(4_430_000), size(44_300_000), size(443_000_000)],
            ["12B", "4.43MB", "44.3MB", "443MB"]
        );
        assert_eq!(lines(&[vec!["A".into(), "B".into()], vec!["long".into(), String::new()]]), ["A      B", "long"]);
    }
}
