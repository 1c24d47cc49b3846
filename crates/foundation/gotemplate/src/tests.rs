//! Pairs of files: testdata/gotemplate/NAME/{template,value.json,want}; `want` is the text, or `error: ` with the error. Limits.

use std::path::Path;

use super::{Data, Field, JsonStyle, Options, Template, TemplateError, Unset, render};

#[test]
fn templates_give_what_go_gives() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../testdata/gotemplate");
    let mut count = 0;
    let mut wrong = Vec::new();
    for case in std::fs::read_dir(&cases).expect("cases").flatten() {
        let read = |name: &str| std::fs::read_to_string(case.path().join(name)).expect("a file of the case");
        let value = serde_json::from_str(&read("value.json")).expect("JSON");
        let got = match render(&read("template"), &value) {
            Ok(text) => text,
            Err(error) => format!("error: {error}"),
        };
        count += 1;
        if got != read("want") {
            wrong.push(format!("{}: {got:?} instead of {:?}", case.path().display(), read("want")));
        }
    }
    assert!(count >= 60, "only {count} cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn sample() -> Data {
    Data::Struct {
        type_name: "main.T",
        fields: vec![
            Field::new("Name", "name", "a<b"),
            Field::optional("Empty", "empty", ""),
            Field::new("Hidden", "", 7i64),
            Field::new("List", "list", vec![Data::Int(1), Data::Int(2)]),
        ],
    }
}

#[test]
fn structs_keep_their_order_and_names() {
    let render = |text: &str, json| {
        let options = Options { missing_key_is_error: false, json };
        Template::parse(text).and_then(|template| template.render(&sample(), &options))
    };
    assert_eq!(render("{{json .}}", JsonStyle::COMPACT).unwrap(), "{\"name\":\"a<b\",\"list\":[1,2]}");
    assert_eq!(
        render("{{json .}}", JsonStyle::INDENTED).unwrap(),
        "{\n  \"name\": \"a\\u003cb\",\n  \"list\": [\n    1,\n    2\n  ]\n}"
    );
    assert_eq!(render("{{.}}", JsonStyle::COMPACT).unwrap(), "{a<b  7 [1 2]}");
    assert_eq!(
        render("{{.Foo}}", JsonStyle::COMPACT).unwrap_err().to_string(),
        "template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type main.T"
    );
    assert!(Template::parse("{{.Name}}x").unwrap().begins_with_field("Name"));
}

#[test]
fn what_was_never_made_is_empty_and_null() {
    let data = Data::Struct {
        type_name: "main.T",
        fields: vec![
            Field::new("Map", "map", Data::Unset(Unset::Map)),
            Field::new("List", "list", Data::Unset(Unset::List)),
            Field::optional("Pointer", "pointer", Data::Unset(Unset::Pointer)),
            Field::new("Texts", "texts", Data::Texts([("a".to_owned(), Data::from("b"))].into())),
        ],
    };
    for (template, want) in [
        ("{{.Map}}{{.List}}{{.Pointer}}{{.Texts}}", "map[][]<nil>map[a:b]"),
        ("{{json .}}", r#"{"map":null,"list":null,"texts":{"a":"b"}}"#),
        (r#"<{{index .Map "x"}}{{index .Texts "x"}}{{index .Texts "a"}}>"#, "<b>"),
        ("{{len .Map}}{{len .List}}{{range .Map}}x{{end}}{{range .List}}x{{else}}none{{end}}", "00none"),
        ("{{if .Map}}y{{else}}n{{end}}{{if .Pointer}}y{{else}}n{{end}}{{join .List \",\"}}{{.Texts.a}}", "nnb"),
        ("{{eq .Pointer nil}}", "true"),
    ] {
        let got = Template::parse(template).and_then(|parsed| parsed.render(&data, &Options::default()));
        assert_eq!(got.unwrap(), want, "{template}");
    }
    for template in ["{{.Map.x}}", "{{.Pointer.x}}", "{{index .List 0}}", "{{.Texts.x}}"] {
        assert!(Template::parse(template).and_then(|parsed| parsed.render(&data, &Options::default())).is_err());
    }
}

#[test]
fn no_template_runs_for_ever() {
    let value = serde_json::json!({});
    let limited = |text: &str| matches!(render(text, &value), Err(TemplateError::Run { .. }));
    assert!(limited("{{range 1000000}}{{range 1000000}}{{end}}{{end}}"));
    assert!(limited("{{range 1000}}{{printf \"%1000000d\" 1}}{{end}}"));
    let deep = format!("{{{{if {}1{}}}}}{{{{end}}}}", "(".repeat(20), ")".repeat(20));
    assert!(render(&deep, &value).is_ok());
    let deeper = format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000));
    assert!(matches!(render(&deeper, &value), Err(TemplateError::Syntax { .. })));
}

#[test]
fn a_method_of_one_word_answers() {
    let row = |known: &[(&str, &str)], names_itself| {
        let known = known.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Data::Map([("Label".to_owned(), Data::Lookup { known, names_itself }), ("ID".to_owned(), "x".into())].into())
    };
    let say = |template: &str, data: &Data| Template::parse(template).unwrap().render(data, &Options::default());
    let data = row(&[("a", "1"), ("com.example.my-label", "2")], false);
    assert_eq!(say("{{.ID}} {{.Label \"a\"}}{{.Label \"none\"}}", &data).unwrap(), "x 1");
    assert_eq!(say("{{if eq (.Label \"a\") \"1\"}}yes{{end}}", &data).unwrap(), "yes");
    assert_eq!(say("{{json .}}", &data).unwrap(), "{\"ID\":\"x\"}");
    assert_eq!(say("{{.Label \"com.example.my-label\"}}", &row(&[], true)).unwrap(), "my label");
    assert!(say("{{.ID \"a\"}}", &data).unwrap_err().to_string().contains("cannot be invoked as function"));
}
