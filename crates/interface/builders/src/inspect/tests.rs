//! What no state of `testdata/builders` shows.

use super::*;

#[test]
fn a_node_that_failed() {
    let node = NodeView {
        name: "a0".into(),
        endpoint: "ctx".into(),
        error: Some("no such context".into()),
        ..Default::default()
    };
    let view =
        BuilderView { name: "a".into(), driver: "docker-container".into(), nodes: vec![node], ..Default::default() };
    let lines = [
        "Name:   a",
        "Driver: docker-container",
        "",
        "Nodes:",
        "Name:     a0",
        "Endpoint: ctx",
        "Error:    no such context",
    ];
    assert_eq!(inspect(&view), lines);
}

#[test]
fn times_as_go_prints_them() {
    assert_eq!(go_time(Timestamp::from_seconds(1_681_466_355)), "2023-04-14 09:59:15 +0000 UTC");
}
