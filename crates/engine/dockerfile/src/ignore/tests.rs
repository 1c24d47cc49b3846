use super::*;

fn ignored(patterns: &[&str], path: &str) -> bool {
    Patterns::from_list(patterns).unwrap().is_ignored(path)
}

#[test]
fn single_patterns() {
    let rows = [
        ("**", "file", true),
        ("**", "dir/file", true),
        ("**/", "dir/file", true),
        ("**/**", "a/b", true),
        ("dir/**", "dir/file", true),
        ("dir/**", "dir/a/b", true),
        ("dir/**", "dir", false),
        ("dir", "dir/a/b", true),
        ("dir", "dirx", false),
        ("**/dir", "dir", true),
        ("**/dir", "a/b/dir/c", true),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir/dir2/dir2/file", true),
        ("**/dir2/**", "dir/dir2/dir2/file", true),
        ("**file", "file", true),
        ("**file", "dir/myfile", true),
        ("**/*file", "dir/myfile", true),
        ("**/*file", "dir/file.txt", false),
        ("**/*.txt", "file.txt", true),
        ("**/*.txt", "a/b/file.txt", true),
        ("*.txt", "a/file.txt", false),
        ("**/*.txt", "file.txt.bak/x", false),
        ("a**/*.txt", "a/file.txt", true),
        ("a**/*.txt", "ab/file.txt", true),
        ("a/*/b", "a/x/b/c", true),
        ("a/*/b", "a/x/y/b", false),
        ("a[b-d]e", "ace", true),
        ("a[b-d]e", "aee", false),
        ("a[^b]c", "adc", true),
        ("a[^b]c", "a/c", false),
        ("a?c", "abc", true),
        ("a?c", "a/c", false),
        ("a?c", "aéc", true),
        (r"a\*b", "a*b", true),
        (r"a\*b", "axb", false),
        ("/abs", "abs", true),
        ("./a/../b", "b", true),
        ("a.c", "abc", false),
        ("a$", "a$", true),
        ("(a|b)+{1}", "(a|b)+{1}", true),
        ("*", "a/b", true),
        (".*", ".git/config", true),
        (".*", "a.b", false),
        ("**/.git", ".git", true),
        ("abc/**/def", "abc/def", true),
        ("abc/**/def", "abc/x/y/def/z", true),
        ("../a", "a", false),
    ];
    for (pattern, path, wanted) in rows {
        assert_eq!(ignored(&[pattern], path), wanted, "{pattern} {path}");
    }
}

#[test]
fn the_last_match_wins_and_parents_count() {
    assert!(!ignored(&["*", "!keep"], "keep/a/b"));
    assert!(ignored(&["*", "!keep", "keep/a"], "keep/a/b"));
    assert!(!ignored(&["**/*.md", "!README.md"], "README.md"));
    assert!(ignored(&["!README.md", "**/*.md"], "README.md"));
    assert!(!ignored(&["docs", "!docs/keep"], "docs/keep"));
    assert!(ignored(&["docs", "!docs/keep"], "docs/other"));
    assert!(!ignored(&["a", "!a/b", "x"], "a/b/c"));
    let patterns = Patterns::parse(b"# note\n\n*.log\n!keep.log\n  build/  \n").unwrap();
    let pattern = patterns.hiding("build/x").unwrap();
    assert_eq!((pattern.text().as_str(), pattern.line()), ("build", 5));
    assert_eq!(patterns.hiding("keep.log"), None);
    assert_eq!(patterns.texts(), ["*.log", "!keep.log", "build"]);
    assert!(patterns.has_exceptions());
}

#[test]
fn files_are_cleaned_and_errors_name_the_line() {
    let texts = Patterns::parse(b"\xef\xbb\xbfa//b/\r\n ! /c \n#x\n #y\n/\n.\n").unwrap().texts();
    assert_eq!(texts, ["a/b", "!c", "#y", "/", "."]);
    let message = |bytes: &[u8]| Patterns::parse(bytes).unwrap_err().to_string();
    assert_eq!(message(b"a\n!\n"), "illegal exclusion pattern: \"!\" on line 2");
    assert_eq!(message(b"a[\n"), "syntax error in pattern \"a[\" on line 1");
    assert_eq!(Patterns::parse(b"\n\n[]a]").unwrap_err().lines(), Some(LineRange::line(3)));
    assert_eq!(message(&[b'a'; 5000]), "pattern on line 1 is longer than 4096 bytes");
}

#[test]
fn subtrees_are_passed_over_only_when_nothing_below_comes_back() {
    let skips = |patterns: &[&str], dir: &str| {
        let patterns = Patterns::from_list(patterns).unwrap();
        let mut matches = DirMatches::default();
        for end in dir.match_indices('/').map(|(at, _)| at).chain([dir.len()]) {
            matches = patterns.walk(&matches, &dir[..end]).below;
        }
        patterns.hides_all_below(dir, &matches)
    };
    assert!(skips(&["node_modules"], "node_modules"));
    assert!(skips(&["node_modules", "!keep"], "node_modules"));
    assert!(!skips(&["node_modules", "!node_modules/keep/x"], "node_modules"));
    assert!(!skips(&["node_modules", "!node_modules/keep/x"], "node_modules/keep"));
    assert!(skips(&["node_modules", "!node_modules/keep/x"], "node_modules/other"));
    assert!(!skips(&["a", "!**/*.go"], "a/b"));
    assert!(skips(&["!a/x", "a"], "a"));
    assert!(!skips(&["*", "!a"], "a"));
    assert!(!skips(&["b"], "a"));
}

#[test]
fn walking_20000_paths_is_quick() {
    let mut lines: Vec<String> = (0..100).map(|n| format!("**/dir{n}/**/*.tmp")).collect();
    lines.extend(["**/node_modules".to_owned(), "*.log".to_owned(), "!keep.log".to_owned()]);
    let patterns = Patterns::from_list(&lines).unwrap();
    let started = std::time::Instant::now();
    let mut hidden = 0;
    for outer in 0..20 {
        let dir = format!("src{outer}");
        let below = patterns.walk(&DirMatches::default(), &dir).below;
        for inner in 0..1000 {
            hidden += usize::from(patterns.walk(&below, format!("{dir}/file{inner}.rs")).is_ignored);
        }
    }
    assert_eq!(hidden, 0);
    // Measured 0.01 s without optimisation of this crate; the bound only catches a change of order.
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn patterns_of_a_copy_with_a_slash_in_front_match_nothing() {
    let hides = |patterns: &[&str], path: &str| Patterns::of_copy(patterns).unwrap().is_ignored(path);
    assert!(hides(&["f"], "f") && hides(&["./f/"], "f/x") && hides(&["**/f"], "a/f"));
    assert!(!hides(&["/f"], "f") && !hides(&["//f"], "f") && hides(&["f", "!/f"], "f"));
    assert_eq!(Patterns::of_copy(&["/["]).unwrap_err().to_string(), "syntax error in pattern \"[\"");
}

#[test]
fn blanks_before_a_slash_count_no_more_than_those_at_the_end() {
    let patterns = Patterns::parse(b"a /\n/ b\n./ /\n!/ / c\n").unwrap();
    assert_eq!(patterns.texts(), ["a", "b", "!c"]);
    assert!(matches!(Patterns::parse(b"!./ /"), Err(IgnoreError::BareException { line: 1 })));
}

proptest::proptest! {
    #[test]
    fn no_pattern_panics(text in r"[a-c*?\[\]^\\!/. #-]{0,12}", path in "[a-c/.]{0,12}") {
        if let Ok(patterns) = Patterns::parse(text.as_bytes()) {
            let _ = patterns.is_ignored(&path);
            let below = patterns.walk(&DirMatches::default(), &path).below;
            if patterns.hides_all_below(&path, &below) {
                for name in ["a", "b", "a/b", "c.c", "..a"] {
                    let child = format!("{path}/{name}");
                    proptest::prop_assert!(patterns.is_ignored(&child), "{}", child);
                }
            }
        }
    }

    #[test]
    fn any_bytes_are_paths(path in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20)) {
        let patterns = Patterns::from_list(["**/a?", "[^a]*", "!x/**"]).unwrap();
        let _ = patterns.is_ignored(&path);
    }
}
