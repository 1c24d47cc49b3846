//! In: builds of which a program reads the words. Out: their JSON parses and holds what it must; a terminal's screen ends as it should. Never: a text compared letter by letter.

use serde_json::Value;

use crate::world::World;

fn succeed(output: &std::process::Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn rawjson_is_one_status_object_a_line() {
    let world = World::new();
    world.hello();
    let (stdout, stderr) = succeed(&world.crossdock(&["build", "--progress=rawjson", "-t", "a:1", "."]));
    assert_eq!(stdout, "");
    let mut completed = Vec::new();
    for line in stderr.lines() {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let (key, list) = object.as_object().unwrap().iter().next().unwrap();
        assert!(["vertexes", "statuses", "logs", "warnings"].contains(&key.as_str()), "{line}");
        for item in list.as_array().unwrap() {
            let digest = item.get(if key == "vertexes" { "digest" } else { "vertex" }).and_then(Value::as_str).unwrap();
            assert!(digest.starts_with("sha256:"), "{line}");
            if key == "vertexes" && item.get("completed").is_some() {
                assert!(item["started"].as_str() <= item["completed"].as_str(), "{line}");
                completed.push(item["name"].as_str().unwrap().to_owned());
            }
        }
    }
    for name in [
        "[internal] load build definition from Dockerfile",
        "[internal] load .dockerignore",
        "[internal] load build context",
        "[1/1] COPY hello /",
        "exporting to image",
    ] {
        assert!(completed.iter().any(|step| step == name), "{name} in {completed:?}");
    }
}

#[test]
fn rawjson_of_a_failed_build_holds_the_error() {
    let world = World::new();
    world.hello();
    fs_err::remove_file(world.work().join("hello")).unwrap();
    let output = world.crossdock(&["build", "--progress=rawjson", "."]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    let failed = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).any(|object| {
        object["vertexes"].as_array().is_some_and(|list| {
            list.iter().any(|vertex| vertex["error"].as_str().is_some_and(|text| text.contains("not found")))
        })
    });
    assert!(failed, "{stderr}");
}

#[test]
fn the_graph_is_json_with_a_vertex_for_each_step() {
    let world = World::new();
    world.hello();
    let (stdout, _) = succeed(&world.crossdock(&[
        "build",
        "--print-llb",
        "--progress=quiet",
        "--platform=linux/amd64,linux/arm64",
        ".",
    ]));
    let graphs: Value = serde_json::from_str(&stdout).unwrap();
    let graphs = graphs.as_array().unwrap();
    assert_eq!(graphs.len(), 2);
    for graph in graphs {
        let text = graph.to_string();
        assert!(text.contains("local://context") && text.contains("COPY hello /"), "{text}");
    }
    // Nothing was built.
    assert_eq!(succeed(&world.crossdock(&["images", "-q"])).0, "");
}

#[test]
fn the_same_build_has_the_same_digest_whoever_asks() {
    let world = World::new();
    world.hello();
    let (first, _) = succeed(&world.crossdock(&["build", "-q", "-t", "a:1", "."]));
    let (second, _) = succeed(&world.crossdock(&["build", "-q", "-t", "a:1", "."]));
    assert_eq!(first, second);
    succeed(&world.crossdock(&["build", "--progress=quiet", "-t", "a:1", "--metadata-file=meta", "--iidfile=id", "."]));
    let metadata: Value = serde_json::from_str(&fs_err::read_to_string(world.work().join("meta")).unwrap()).unwrap();
    assert_eq!(metadata["containerimage.digest"], first.trim());
    assert_eq!(metadata["containerimage.descriptor"]["digest"], first.trim());
    assert_eq!(metadata["containerimage.config.digest"], fs_err::read_to_string(world.work().join("id")).unwrap());
    let (shown, _) = succeed(&world.crossdock(&["images", "-q", "--no-trunc"]));
    assert_eq!(shown, first);
    let (raw, _) = succeed(&world.crossdock(&["imagetools", "inspect", "--raw", "a:1"]));
    let digest = crossdock_oci::BlobDigest::of(raw.as_bytes()).to_string();
    assert_eq!(digest, first.trim());
}

#[test]
fn a_terminal_sees_its_screen() {
    let world = World::new();
    if !std::path::Path::new("/usr/bin/script").exists() {
        println!("skipped: script of util-linux is missing");
        return;
    }
    world.hello();
    let output = world
        .command("script")
        .args(["-qec", "stty cols 100 rows 30; crossdock build -t a:1 .", "/dev/null"])
        .output()
        .unwrap();
    let (stdout, _) = succeed(&output);
    assert!(stdout.contains("\u{1b}[?25h"), "the cursor comes back");
    let lines = last_screen(&stdout);
    let title = lines.iter().rfind(|line| line.starts_with("[+] Building ")).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(title.contains(" FINISHED") && title.ends_with("embedded:default") && title.len() == 100, "{title:?}");
    let (_, counts) = title.split_once('(').unwrap();
    let (done, all) = counts.split_once(')').unwrap().0.split_once('/').unwrap();
    assert_eq!(done, all);
    for name in [
        "[internal] load build definition from Dockerfile",
        "[internal] load build context",
        "[1/1] COPY hello /",
        "exporting to image",
    ] {
        let line = lines
            .iter()
            .rfind(|line| line.starts_with(&format!(" => {name}")))
            .unwrap_or_else(|| panic!("{name} in {lines:#?}"));
        assert!(line.ends_with('s') && line.len() == 100, "{line:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("kept sha256:") && line.ends_with("(a:1)")), "{lines:#?}");
}

/// The lines a terminal shows at the end, without colours: `ESC [ n A` goes up, `ESC [ K` and `ESC [ J` erase.
fn last_screen(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    let (mut row, mut column) = (0, 0);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\n' => {
                (row, column) = (row + 1, 0);
                if row == lines.len() {
                    lines.push(String::new());
                }
            }
            '\r' => column = 0,
            '\u{1b}' => {
                let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                let (number, letter) = (&rest[1..end], &rest[end..=end]);
                match letter {
                    "A" => row = row.saturating_sub(number.parse().unwrap_or(1)),
                    "G" => column = 0,
                    "K" => lines[row].truncate(column),
                    "J" => lines.truncate(row + 1),
                    _ => {}
                }
                rest = &rest[end + 1..];
            }
            c => {
                lines[row].truncate(column);
                lines[row].push(c);
                column = lines[row].len();
            }
        }
    }
    lines
}
