//! In: rows of cells. Out: lines with aligned columns, as Go's tabwriter writes them. Never: a terminal's width.

/// Every cell but a row's last is padded to its column's width and `padding` blanks more.
pub(super) fn table(rows: &[Vec<&str>], padding: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter(|row| column + 1 < row.len()).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0) + padding
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            out.push_str(cell);
            if column + 1 < row.len() {
                out.extend(std::iter::repeat_n(' ', widths[column] - cell.chars().count()));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cell_is_not_padded() {
        assert_eq!(table(&[vec!["A", "B"], vec!["long", ""]], 3), "A      B\nlong   \n");
    }
}
