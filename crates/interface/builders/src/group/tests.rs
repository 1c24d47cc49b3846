//! Nodes added, changed and taken out, as real buildx 0.29 does it.

use super::*;

fn update(node: &str, endpoint: &str, platforms: &[&str], append: bool) -> NodeUpdate {
    NodeUpdate {
        node: node.to_owned(),
        endpoint: endpoint.to_owned(),
        endpoint_set: true,
        platforms: platforms.iter().map(|word| word.parse().unwrap()).collect(),
        append,
        ..NodeUpdate::default()
    }
}

#[test]
fn bytes_are_those_of_buildx() {
    let mut group = Group::new("UPPER.x-_1", &Driver::Remote);
    group.update(update("", "tcp://x:3", &["linux/foo", "linux/arm", "linux/x86_64"], false)).unwrap();
    let text = r#"{"Name":"UPPER.x-_1","Driver":"remote","Nodes":[{"Name":"upper.x-_10","Endpoint":"tcp://x:3","Platforms":[{"architecture":"foo","os":"linux"},{"architecture":"arm","os":"linux","variant":"v7"},{"architecture":"amd64","os":"linux"}],"DriverOpts":null,"Flags":null,"Files":null}],"Dynamic":false}"#;
    assert_eq!(serde_json::to_string(&group).unwrap(), text);
    assert_eq!(serde_json::from_str::<Group>(text).unwrap(), group);
}

#[test]
fn what_a_newer_buildx_wrote_stays() {
    let text = r#"{"Name":"a","Driver":"remote","Nodes":[{"Name":"a0","Endpoint":"tcp://x:1","Platforms":[{"architecture":"arm","os":"linux","os.version":"7"}],"DriverOpts":{"k":"v"},"Flags":["-x"],"Files":null,"Later":{"a":[1]}}],"Dynamic":false,"New":7}"#;
    let group: Group = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&group).unwrap(), text);
    let group: Group = serde_json::from_str(r#"{"Name":"a","Driver":"x","Nodes":null}"#).unwrap();
    assert!(group.nodes.is_empty());
}

#[test]
fn a_platform_belongs_to_the_node_that_asked_last() {
    let mut group = Group::new("apd", &Driver::Remote);
    group.update(update("", "tcp://x:1", &["linux/amd64", "linux/arm64"], false)).unwrap();
    group.update(update("", "tcp://x:2", &["linux/arm64"], true)).unwrap();
    group.update(update("x0", "tcp://x:3", &["linux/arm64"], true)).unwrap();
    assert_eq!(
        group.update(update("xx", "tcp://x:4", &[], false)).unwrap_err().to_string(),
        "node xx not found, did you mean to append?"
    );
    group.update(update("", "tcp://x:9", &[], true)).unwrap();
    group.leave("apd1").unwrap();
    let names: Vec<(&str, String)> = group
        .nodes
        .iter()
        .map(|node| (&*node.name, node.fixed_platforms().iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(names, [("apd0", "linux/amd64".into()), ("x0", "linux/arm64".into()), ("apd2", String::new())]);
    assert_eq!(group.next_node_name(), "apd1");
}

#[test]
fn what_is_refused() {
    let mut group = Group::new("a", &Driver::Remote);
    assert!(!group.update(update("", "tcp://x:1", &[], false)).unwrap().needs_restart);
    let said =
        |update| group.clone().update(update).map(|updated| updated.needs_restart).map_err(|error| error.to_string());
    assert_eq!(said(update("", "tcp://x:1", &[], true)), Err("invalid duplicate endpoint tcp://x:1".into()));
    assert_eq!(said(update("a0", "tcp://x:7", &[], false)), Ok(true), "a daemon that runs knows nothing of it");
    let weird = "invalid name weird node, name needs to start with a letter and may not contain symbols, except ._-";
    assert_eq!(said(update("weird node", "tcp://x:2", &[], true)), Err(weird.into()));
    assert_eq!(group.leave("b").unwrap_err().to_string(), "node \"b\" not found for a");
    assert_eq!(
        group.leave("a0").unwrap_err().to_string(),
        "can not leave last node, do you want to rm instance instead?"
    );
    group.dynamic = true;
    assert!(matches!(group.update(update("", "tcp://x:2", &[], true)), Err(BuildersError::Dynamic)));
}
