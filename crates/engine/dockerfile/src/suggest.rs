//! In: a word and the words that would have been right. Out: the nearest of them. Never: a suggestion more than two edits away.

/// Fewer edits than this make a suggestion.
const DISTANCE_LIMIT: usize = 3;

/// Longest word compared, in characters: nobody mistypes longer ones, and the comparison is quadratic.
const WORD_CHARS_MAX: usize = 100;

/// The option nearest to `word` in letters as written; `None` when none is near or one is equal.
pub fn nearest<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut best: Option<(usize, &str)> = None;
    for option in options {
        if option == word {
            return None;
        }
        let distance = edits(word, option);
        let better = match best {
            None => distance < DISTANCE_LIMIT,
            // Ties go to the first in the alphabet, so that messages do not depend on the order of a set.
            Some((least, text)) => distance < least || distance == least && option < text,
        };
        if better {
            best = Some((distance, option));
        }
    }
    best.map(|(_, option)| option.to_owned())
}

/// The same without regard to case; the answer comes in the case of `word`.
pub fn nearest_ignoring_case<'a>(word: &str, options: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower: Vec<String> = options.into_iter().map(str::to_lowercase).collect();
    let found = nearest(&word.to_lowercase(), lower.iter().map(String::as_str))?;
    let upper = word == word.to_uppercase() && word != word.to_lowercase();
    Some(if upper { found.to_uppercase() } else { found })
}

/// How many letters must be added, dropped, changed or swapped with their neighbour.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(WORD_CHARS_MAX + 1).collect();
    let left: Vec<char> = left.chars().take(WORD_CHARS_MAX + 1).collect();
    if left.len().abs_diff(right.len()) >= DISTANCE_LIMIT || left.len().max(right.len()) > WORD_CHARS_MAX {
        return DISTANCE_LIMIT;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.iter().enumerate() {
        let mut next = vec![index + 1];
        for (column, to) in right.iter().enumerate() {
            let change = row[column] + usize::from(from != to);
            let mut least = change.min(row[column + 1] + 1).min(next[column] + 1);
            if index > 0 && column > 0 && *from == right[column - 1] && left[index - 1] == *to {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_equal_ones_silence() {
        let words = ["RUN", "COPY", "ADD", "CMD"];
        assert_eq!(nearest_ignoring_case("RUNN", words).as_deref(), Some("RUN"));
        assert_eq!(nearest_ignoring_case("coppy", words).as_deref(), Some("copy"));
        assert_eq!(nearest_ignoring_case("XYZZY", words), None);
        assert_eq!(nearest("RUN", words), None);
        assert_eq!(nearest("plaform", ["platform"]).as_deref(), Some("platform"));
        assert_eq!(nearest("chwon", ["chmod", "chown"]).as_deref(), Some("chown"));
        assert_eq!(nearest("ab", ["abd", "abc"]).as_deref(), Some("abc"));
        assert_eq!(nearest(&"a".repeat(100_000), ["a"]), None);
    }
}
