//! In: Dockerfiles made of random words. Out: lowering never panics, says the same twice, and keeps its promises about graphs and histories. Never: a network, a file.

use std::collections::BTreeMap;

use crate::toy::ToyBridge;
use crossdock_frontend::{BuildOutcome, ErrorKind, FrontendError, Options, build};
use crossdock_oci::Platform;
use proptest::prelude::*;

const PLATFORMS: [(&str, &str); 2] = [("amd64", ""), ("arm64", "")];

fn lower(dockerfile: &str, ignore: &str) -> Result<BuildOutcome, FrontendError> {
    let files = BTreeMap::from([
        ("Dockerfile".to_owned(), dockerfile.as_bytes().to_vec()),
        ("context/.dockerignore".to_owned(), ignore.as_bytes().to_vec()),
    ]);
    let platforms = PLATFORMS.iter().map(|(arch, variant)| Platform::new("linux", arch, variant)).collect();
    build(&ToyBridge::with_files(files), &Options::new(platforms))
}

/// Lines that are mostly right, so that much of the lowering is reached.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let line = prop_oneof![
        "FROM (--platform=\\$(BUILD|TARGET)PLATFORM )?(alpine|busybox|golang:1.19|onbuild:1|rich:1|scratch|a|b)( AS (a|b|c))?",
        "ARG (A|TARGETARCH|TARGETOS|PATH)(=\\$?[A-Z]{1,2})?",
        "ENV [A-C]=[$A-C{}:-]{0,6}( [A-C]=\"x y\")?",
        "RUN (--network=none |--mount=type=(bind|cache|tmpfs),target=/[a-c]( |,ro |,mode=700 ))?[a-z$ ]{1,8}",
        "(COPY|ADD) (--from=(a|b|c|0|1|busybox) |--link |--chown=[0-9a:]{1,3} |--chmod=[0-7u=]{1,4} )?[a-c.*/]{1,4} [a-c./]{1,4}",
        "COPY <<E /x\ntext \\$A\nE",
        "RUN <<E\n#!/bin/x\nE",
        "WORKDIR [a-c./$A]{1,5}",
        "(CMD|ENTRYPOINT|SHELL|VOLUME) (\\[\"a\", \"b\"\\]|/[a-c]{1,3})",
        "(EXPOSE|USER|STOPSIGNAL|MAINTAINER) [0-9a-z$]{1,4}",
        "LABEL [a-c]=[a-c$]{0,3}",
        "ONBUILD (RUN x|COPY a b|ENV Z=1)",
        "HEALTHCHECK (NONE|--interval=5s CMD x)",
    ];
    proptest::collection::vec(line, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lowering_is_the_same_twice_and_keeps_its_promises(lines in lines(), ignore in "[a-c*!/\n]{0,8}") {
        let text = format!("FROM alpine AS a\n{}\n", lines.join("\n"));
        match (lower(&text, &ignore), lower(&text, &ignore)) {
            (Ok(first), Ok(second)) => {
                prop_assert_eq!(&first, &second);
                check(&first)?;
            }
            (Err(first), Err(second)) => prop_assert_eq!(first.to_string(), second.to_string()),
            _ => prop_assert!(false, "{}", text),
        }
    }

    #[test]
    fn no_text_panics(text in "[A-Z]{0,4}[ -~\n]{0,80}") {
        let _ = lower(&text, "");
    }
}

fn check(outcome: &BuildOutcome) -> Result<(), TestCaseError> {
    for image in &outcome.platforms {
        let mut seen = std::collections::HashSet::new();
        for vertex in &image.definition.vertices {
            for input in &vertex.inputs {
                prop_assert!(seen.contains(&input.vertex), "an input stands behind its user");
            }
            prop_assert!(seen.insert(vertex.digest), "a vertex stands twice");
            prop_assert!(!vertex.metadata.name.is_empty());
        }
        prop_assert!(image.definition.result.is_none_or(|edge| seen.contains(&edge.vertex)));
        prop_assert_eq!(image.config.history.len(), image.base_history_len + image.history_edges.len());
        for (entry, edge) in image.config.history[image.base_history_len..].iter().zip(&image.history_edges) {
            prop_assert_eq!(entry.empty_layer, edge.is_none());
            prop_assert!(entry.created.is_none());
        }
        let last = image.history_edges.iter().rev().find_map(|edge| *edge);
        prop_assert!(last.is_none() || last == image.definition.result, "the last layer is the result");
    }
    Ok(())
}

#[test]
fn limits_end_in_errors() {
    let kind = |text: &str| *lower(text, "").unwrap_err().kind;
    let doubling: String = (0..40).map(|n| format!("ENV A{}=\"$A{n}$A{n}\"\n", n + 1)).collect();
    assert!(matches!(kind(&format!("FROM alpine\nENV A0=xxxxxxxx\n{doubling}")), ErrorKind::Expand(_)));
    let wide: String = (0..9).map(|n| format!("ENV B{n}=$A16\n")).collect();
    let doubling: String = (0..16).map(|n| format!("ENV A{}=\"$A{n}$A{n}\"\n", n + 1)).collect();
    assert!(matches!(kind(&format!("FROM alpine\nENV A0=xxxxxxxx\n{doubling}{wide}")), ErrorKind::EnvironmentTooLarge));
    let many = format!("FROM alpine\nENV A0=xxxxxxxx\n{doubling}{}", "RUN x\n".repeat(400));
    assert!(matches!(kind(&many), ErrorKind::GraphTooLarge));
    let chain: String = (0..900).map(|n| format!("FROM s{n} AS s{}\nENV A=1 B=2\nENV C=3\n", n + 1)).collect();
    assert!(matches!(
        kind(&format!("FROM alpine AS s0\n{}{chain}", "LABEL a=b\n".repeat(3000))),
        ErrorKind::GraphTooLarge
    ));
}
