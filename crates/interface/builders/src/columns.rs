//! In: cells. Out: columns as Docker's and Go's tables align them. Never: a cell cut.

/// Narrowest column of Docker's tables.
const WIDTH_MIN: usize = 10;
/// Blanks between columns of Docker's tables.
const GAP: usize = 3;

/// Rows as Docker's client prints tables; the last column is as long as it is.
pub(crate) fn table(rows: &[Vec<String>]) -> Vec<String> {
    aligned(rows, WIDTH_MIN, GAP)
}

/// Label and value, as `inspect` prints them.
pub(crate) fn pairs(rows: &[(String, String)]) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|(label, value)| vec![label.clone(), value.clone()]).collect();
    aligned(&rows, 0, 1)
}

fn aligned(rows: &[Vec<String>], width_min: usize, gap: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let length = |word: &String| word.chars().count();
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(length).max().unwrap_or(0) + gap;
    let widths: Vec<usize> = (0..columns).map(|at| width(at).max(width_min)).collect();
    let line = |row: &Vec<String>| {
        let last = row.len().saturating_sub(1);
        let cell = |(at, word): (usize, &String)| {
            let blanks = if at == last { 0 } else { widths[at] - length(word) };
            format!("{word}{}", " ".repeat(blanks))
        };
        row.iter().enumerate().map(cell).collect()
    };
    rows.iter().map(line).collect()
}
