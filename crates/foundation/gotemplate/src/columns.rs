//! In: rows of cells. Out: lines with aligned columns, as Go's tabwriter makes them. Never: a cell cut, a terminal's width.

/// Every cell but a row's last is padded: to its column's widest such cell and `gap` blanks more, and to `width_min` at
/// least (characters).
pub fn aligned<T: AsRef<str>>(rows: &[Vec<T>], width_min: usize, gap: usize) -> Vec<String> {
    let length = |cell: &T| cell.as_ref().chars().count();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let padded = rows.iter().filter(|row| at + 1 < row.len()).filter_map(|row| row.get(at));
        (padded.map(length).max().unwrap_or(0) + gap).max(width_min)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<T>| {
        let cell = |(at, cell): (usize, &T)| {
            let blanks = if at + 1 < row.len() { widths[at] - length(cell) } else { 0 };
            format!("{}{}", cell.as_ref(), " ".repeat(blanks))
        };
        row.iter().enumerate().map(cell).collect()
    };
    rows.iter().map(line).collect()
}

/// Narrowest column of Docker's tables, and the blanks between their columns.
const DOCKER_WIDTH_MIN: usize = 10;
const DOCKER_GAP: usize = 3;

/// Rows as Docker's client prints tables.
pub fn docker_table<T: AsRef<str>>(rows: &[Vec<T>]) -> Vec<String> {
    aligned(rows, DOCKER_WIDTH_MIN, DOCKER_GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cell_is_not_padded() {
        assert_eq!(aligned(&[vec!["A", "B"], vec!["long", ""]], 0, 3), ["A      B", "long   "]);
        assert_eq!(docker_table(&[vec!["A", "B"]]), ["A         B"]);
    }
}
