use std::collections::BTreeMap;

use super::*;

fn variables() -> BTreeMap<String, String> {
    let pairs = [
        ("PWD", "/home"),
        ("SHELL", "bash"),
        ("KOREAN", "한국어"),
        ("NULL", ""),
        ("FILE", "a.tar.gz"),
        ("BLANKS", "abc  def"),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn word(text: &str) -> Result<String, String> {
    Expander::new('\\').word(text, &variables()).map(|found| found.text).map_err(|error| error.to_string())
}

#[test]
fn quotes_and_escapes() {
    let rows = [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        (r"he\'llo", "he'llo"),
        (r"abc\tdef", "abctdef"),
        (r#""abc\tdef""#, r"abc\tdef"),
        (r#""abc\\tdef""#, r"abc\tdef"),
        (r"'abc\tdef'", r"abc\tdef"),
        (r"hello\", "hello"),
        (r"hello\\", r"hello\"),
        (r#""hel'lo""#, "hel'lo"),
        (r"'hello\'", r"hello\"),
        (r#""''""#, "''"),
        ("$.", "$."),
        ("he$1x", "hex"),
        ("he$.x", "he$.x"),
        ("he$PWD", "he/home"),
        (r"he\$PWD", "he$PWD"),
        (r"he\\$PWD", r"he\/home"),
        (r#""he\$PWD""#, "he$PWD"),
        (r"'he\$PWD'", r"he\$PWD"),
        (r#""he'$PWD'""#, "he'/home'"),
        (r"\${}", "${}"),
        ("안'녕'$KOREAN", "안녕한국어"),
        ("$", "$"),
        ("a$", "a$"),
    ];
    for (text, wanted) in rows {
        assert_eq!(word(text).as_deref(), Ok(wanted), "{text}");
    }
    for bad in ["he'llo", r"he\\'llo", "\"hello", r#""hello\""#, "'x", "안'녕"] {
        assert!(word(bad).unwrap_err().contains("looking for matching"), "{bad}");
    }
    assert_eq!(Expander::new('`').word("a`$b\\c", &variables()).unwrap().text, "a$b\\c");
}

#[test]
fn every_modifier() {
    let rows = [
        ("${PWD}", "/home"),
        ("${hi}", ""),
        ("${XXX:-000}", "000"),
        ("${PWD:-000}", "/home"),
        ("${NULL:-x}", "x"),
        ("${NULL-x}", ""),
        ("${XXX-x}", "x"),
        ("${XXX:-${PWD:-yyy}}", "/home"),
        ("${XXX:-${YYY:-yyy}}", "yyy"),
        ("${XXX:+${PWD}}", ""),
        ("${PWD:+${SHELL}}", "bash"),
        ("${NULL:+x}", ""),
        ("${NULL+x}", "x"),
        ("${PWD?}", "/home"),
        ("${PWD:?no}", "/home"),
        ("${NULL?}", ""),
        (r"${XXX:-\$PWD:}", "$PWD:"),
        (r"${XXX:-\${PWD}z}", "${PWDz}"),
        ("${aaa}}", "}"),
        ("${aaa:-bbb {foo}", "bbb {foo"),
        ("${FILE%.*}", "a.tar"),
        ("${FILE%%.*}", "a"),
        ("${FILE#*.}", "tar.gz"),
        ("${FILE##*.}", "gz"),
        ("${FILE%zip}", "a.tar.gz"),
        ("${FILE/a/b}", "b.tar.gz"),
        ("${FILE//a/b}", "b.tbr.gz"),
        ("${FILE/tar/}", "a..gz"),
        (r"${PWD/\//_}", "_home"),
        ("${XXX/a/b}", ""),
        ("${XXX#a}", ""),
        ("$$x", "x"),
        ("$@aaa", "aaa"),
        ("${1:-bbb}aaa", "bbbaaa"),
        ("$001aaa", "aaa"),
        ("${FILE%\\*}", "a.tar.gz"),
        ("${FILE#${XXX:-a.}}", "tar.gz"),
    ];
    for (text, wanted) in rows {
        assert_eq!(word(text).as_deref(), Ok(wanted), "{text}");
    }
    let errors = [
        ("${}", "bad substitution"),
        ("${{aaa}", "bad substitution"),
        ("${:-bbb}", "bad substitution"),
        ("${.}", "unsupported modifier (.)"),
        ("${XXX:YYY}", "unsupported modifier (:Y)"),
        ("${PWD:=000}", "unsupported modifier (:=)"),
        ("${PWD:#x}", "unsupported modifier (:#)"),
        ("${PWD", "missing '}'"),
        ("${aaa:-bbb", "missing '}'"),
        ("${aaa:-bbb ${foo}", "missing '}'"),
        ("${", "missing '}'"),
        ("${XXX?}", "XXX: is not allowed to be unset"),
        ("${XXX:?}", "XXX: is not allowed to be unset"),
        ("${NULL:?}", "NULL: is not allowed to be empty"),
        ("${NULL:?say it}", "NULL: say it"),
        ("${PWD/a}", "missing '/'"),
        ("${PWD/a/b", "missing '}'"),
        (r"${PWD#\a}", "invalid pattern"),
    ];
    for (text, wanted) in errors {
        let error = word(text).unwrap_err();
        assert!(error.contains(wanted), "{text}: {error}");
    }
}

#[test]
fn used_and_missing_variables_are_told() {
    let found = Expander::new('\\').word("$PWD ${A:-$B} 'x$C' $$", &variables()).unwrap();
    assert_eq!(found.used.into_iter().collect::<Vec<_>>(), ["PWD"]);
    assert_eq!(found.missing.into_iter().collect::<Vec<_>>(), ["$", "A", "B"]);
}

#[test]
fn names_on_screen_keep_quotes_and_unset_variables() {
    let show = |text: &str| Expander::for_display('\\').word(text, &variables()).unwrap().text;
    assert_eq!(
        show(r#"RUN echo "I'm at $PWD" $X ${Y} ${Z:-a} ${Q##b}"#),
        r#"RUN echo "I'm at /home" $X ${Y} ${Z:-a} ${Q##b}"#
    );
    assert_eq!(show("${A//x/y}"), "${A//x/y}");
}

#[test]
fn content_of_heredocs_keeps_quotes() {
    let content = Expander::for_content().word("it's \"$PWD\" \\$PWD\n", &variables()).unwrap().text;
    assert_eq!(content, "it's \"/home\" $PWD\n");
}

#[test]
fn words_split_after_expansion() {
    let rows: [(&str, &[&str]); 12] = [
        ("hello", &["hello"]),
        ("hello${hi}bye", &["hellobye"]),
        ("hello${BLANKS}bye", &["helloabc", "defbye"]),
        ("hello\"${BLANKS}\"bye", &["helloabc  defbye"]),
        ("hello \"${BLANKS}\"bye", &["hello", "abc  defbye"]),
        ("hello there     ", &["hello", "there"]),
        (r"hello\ there", &["hello there"]),
        ("hello\" there  \"", &["hello there  "]),
        ("hello'$there'", &["hello$there"]),
        ("a << EOF b", &["a", "<< EOF", "b"]),
        ("", &[]),
        ("80${X:-80} 1", &["8080", "1"]),
    ];
    for (text, wanted) in rows {
        assert_eq!(Expander::new('\\').words(text, &variables()).unwrap(), wanted, "{text}");
    }
}

#[test]
fn limits_hold() {
    let big = BTreeMap::from([("A".to_owned(), "x".repeat(EXPANSION_BYTES_MAX / 2))]);
    let expand = |text: &str| Expander::new('\\').word(text, &big).map_err(|ExpandError::Word { reason, .. }| reason);
    assert!(expand("$A$A").is_ok());
    assert_eq!(expand("$A$A$A"), Err(ExpandReason::TooLarge));
    assert_eq!(expand("\"$A$A$A\""), Err(ExpandReason::TooLarge));
    assert_eq!(expand(&"${a:-".repeat(10_000)), Err(ExpandReason::TooDeep));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in r#"[a-zA-Z $\\{}:/#%*?'"<>+-]{0,40}"#) {
        let _ = Expander::new('\\').word(&text, &variables());
        let _ = Expander::new('`').words(&text, &variables());
        let _ = Expander::for_display('\\').word(&text, &variables());
        let _ = Expander::for_heredoc_words().words(&text, &variables());
    }

    #[test]
    fn quoted_text_is_itself(text in "[a-z0-9 .,/]{0,20}") {
        proptest::prop_assert_eq!(word(&format!("'{text}'")), Ok(text.clone()));
        proptest::prop_assert_eq!(word(&format!("\"{text}\"")), Ok(text));
    }
}
