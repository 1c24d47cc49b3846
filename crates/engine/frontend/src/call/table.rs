//! In: rows of cells. Out: lines with aligned columns, as Go's tabwriter writes them. Never: a terminal's width.

/// Every cell but a row's last is padded to its column's width and `padding` blanks more.
pub(super) fn table(rows: &[Vec<&str>], padding: usize) -> String {
    crossdock_gotemplate::aligned(rows, 0, padding).iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cell_is_not_padded() {
        assert_eq!(table(&[vec!["A", "B"], vec!["long", ""]], 3), "A      B\nlong   \n");
    }
}
