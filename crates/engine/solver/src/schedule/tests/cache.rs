//! In: the same graph built again and again while the world changes. Out: what runs and what is not even asked. Never: more than one process at a time.

use super::toy::{Files, Toy, ToyGraph, files};
use super::world::{Build, Built, World, build};
use crate::digest::CacheKey;
use crate::event::Edge;

fn local(world: &mut World, name: &str, pairs: &[(&str, &str)]) {
    world.outside.locals.insert(name.to_owned(), files(pairs));
}

fn forget(world: &mut World, is_gone: impl Fn(&CacheKey) -> bool) {
    world.records.retain(|key, _| !is_gone(key));
}

/// FROM os; RUN deps; COPY src/app; RUN make; RUN check
fn app(graph: &mut ToyGraph) -> Edge {
    let (os, context) = (graph.image("os"), graph.local("context"));
    let deps = graph.run("deps", os);
    let copied = graph.copy("src/app", context, deps);
    let made = graph.run("make", copied);
    graph.run("check", made)
}

#[test]
fn a_pinned_chain_runs_once_and_then_costs_one_lookup_and_one_load() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let first = graph.run("a", os);
    let goal = graph.run("b", first);
    let cold = build(&mut world, &graph, goal).counts;
    assert_eq!(cold.executed, ["image os", "run a", "run b"]);
    let warm = build(&mut world, &graph, goal).counts;
    assert_eq!((warm.executed.len(), warm.lookups), (0, 1));
    assert_eq!(warm.loaded, ["run b"]);
}

#[test]
fn what_was_not_needed_is_reported_as_cached_inputs_first() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let goal = app(&mut graph);
    local(&mut world, "context", &[("src/app", "1")]);
    build(&mut world, &graph, goal);
    let warm = build(&mut world, &graph, goal).counts;
    let names: Vec<(&str, bool)> = warm.completed.iter().map(|(name, cached)| (name.as_str(), *cached)).collect();
    assert_eq!(
        names,
        [
            ("local context", false),
            ("image os", true),
            ("run deps", true),
            ("copy src/app", true),
            ("run make", true),
            ("run check", true),
        ]
    );
}

#[test]
fn a_cached_build_over_a_local_source_loads_only_its_goal() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let goal = app(&mut graph);
    local(&mut world, "context", &[("src/app", "1")]);
    let cold = build(&mut world, &graph, goal).counts;
    assert_eq!(cold.ran(), ["copy src/app", "run check", "run deps", "run make"]);
    let warm = build(&mut world, &graph, goal).counts;
    assert_eq!(warm.executed, ["local context"]);
    assert_eq!(warm.loaded, ["run check"]);
    assert_eq!(warm.digested, ["copy src/app"]);
    // The definition of `RUN deps`, the content of the goal.
    assert_eq!(warm.lookups, 2);
}

#[test]
fn a_changed_file_reruns_exactly_the_steps_after_it() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let goal = app(&mut graph);
    local(&mut world, "context", &[("src/app", "1")]);
    build(&mut world, &graph, goal);
    local(&mut world, "context", &[("src/app", "2")]);
    let changed = build(&mut world, &graph, goal).counts;
    assert_eq!(changed.ran(), ["copy src/app", "run check", "run make"]);
    assert_eq!(changed.loaded, ["run deps"]);
    // The old content is still known.
    local(&mut world, "context", &[("src/app", "1")]);
    assert!(build(&mut world, &graph, goal).counts.ran().is_empty());
}

#[test]
fn files_that_no_step_reads_change_nothing() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let goal = app(&mut graph);
    local(&mut world, "context", &[("src/app", "1"), ("README", "1")]);
    build(&mut world, &graph, goal);
    local(&mut world, "context", &[("src/app", "1"), ("README", "2"), ("new", "")]);
    assert!(build(&mut world, &graph, goal).counts.ran().is_empty());
}

#[test]
fn a_changed_step_reruns_itself_and_what_is_above() {
    let mut world = World::default();
    local(&mut world, "context", &[("x", "1")]);
    let graph_with = |text: &str| {
        let mut graph = ToyGraph::default();
        let (os, context) = (graph.image("os"), graph.local("context"));
        let first = graph.run("first", os);
        let changing = graph.run(text, first);
        let goal = graph.copy("x", context, changing);
        (graph, goal)
    };
    let (graph, goal) = graph_with("a");
    build(&mut world, &graph, goal);
    let (graph, goal) = graph_with("b");
    let changed = build(&mut world, &graph, goal).counts;
    assert_eq!(changed.ran(), ["copy x", "run b"]);
}

#[test]
fn a_content_hit_after_a_definition_miss_is_found_by_definition_next_time() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let first = graph.run("a", os);
    let goal = graph.run("b", first);
    build(&mut world, &graph, goal);
    forget(&mut world, |key| matches!(key, CacheKey::Definition(_)));
    let by_content = build(&mut world, &graph, goal).counts;
    assert!(by_content.ran().is_empty());
    assert_eq!(by_content.loaded, ["run b"]);
    let by_definition = build(&mut world, &graph, goal).counts;
    assert_eq!((by_definition.lookups, by_definition.executed.len()), (1, 0));
}

#[test]
fn equal_layers_hit_whatever_the_image_is_called() {
    let mut world = World::default();
    let graph_from = |name: &str| {
        let mut graph = ToyGraph::default();
        let os = graph.image_of(name, "debian 12");
        let goal = graph.run("deps", os);
        (graph, goal)
    };
    let (graph, goal) = graph_from("debian:12");
    build(&mut world, &graph, goal);
    let (graph, goal) = graph_from("mirror/debian:latest");
    assert!(build(&mut world, &graph, goal).counts.ran().is_empty());
}

#[test]
fn a_rebuilt_stage_that_gives_the_same_file_stops_the_change_there() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let (os, context) = (graph.image("os"), graph.local("context"));
    let app = graph.copy("src/app", context, os);
    let notes = graph.copy("src/notes", context, app);
    let builder = graph.run("make", notes);
    let slim = graph.image("slim");
    let copied = graph.copy("app", builder, slim);
    let goal = graph.run("setup", copied);
    local(&mut world, "context", &[("src/app", "1"), ("src/notes", "1")]);
    build(&mut world, &graph, goal);
    local(&mut world, "context", &[("src/app", "1"), ("src/notes", "2")]);
    let changed = build(&mut world, &graph, goal).counts;
    assert_eq!(changed.ran(), ["copy src/notes", "run make"]);
}

#[test]
fn equal_content_from_another_directory_hits_but_not_under_another_name() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let (os, context) = (graph.image("os"), graph.local("context"));
    local(&mut world, "context", &[("a/x", "1"), ("b/x", "1"), ("b/y", "1")]);
    let goals = ["a/x", "b/x", "b/y"].map(|path| graph.copy(path, context, os));
    let ran = goals.map(|goal| build(&mut world, &graph, goal).counts.ran().len());
    assert_eq!(ran, [1, 0, 1]);
}

#[test]
fn a_step_on_a_local_source_as_base_counts_all_of_its_files() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let context = graph.local("context");
    let goal = graph.run("make", context);
    local(&mut world, "context", &[("x", "1")]);
    let cold = build(&mut world, &graph, goal).counts;
    let warm = build(&mut world, &graph, goal).counts;
    local(&mut world, "context", &[("x", "1"), ("y", "1")]);
    let changed = build(&mut world, &graph, goal).counts;
    assert_eq!([cold.ran().len(), warm.ran().len(), changed.ran().len()], [1, 0, 1]);
}

#[test]
fn outputs_of_one_vertex_do_not_mix() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let split = graph.add(Toy::Split { text: "s".into() }, &[os]);
    let made = Edge { output: 1, ..split };
    let goals = [split, made].map(|base| graph.run("use", base));
    for goal in [goals[0], goals[1], made, split] {
        build(&mut world, &graph, goal).outcome.unwrap();
    }
    let warm = build(&mut world, &graph, goals[1]).counts;
    assert!(warm.executed.is_empty());
}

#[test]
fn a_local_source_as_goal_is_never_stored() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let goal = graph.local("context");
    local(&mut world, "context", &[("x", "1")]);
    let files = build(&mut world, &graph, goal).outcome;
    assert_eq!(files.unwrap().get("x").map(String::as_str), Some("1"));
    assert!(world.records.is_empty());
}

#[test]
fn ignore_cache_runs_again_and_stores_what_it_made() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let goal = graph.fetch("news", os);
    world.outside.web.insert("news".into(), "monday".into());
    build(&mut world, &graph, goal);
    world.outside.web.insert("news".into(), "tuesday".into());
    let stale = cached_files(&mut world, &graph, goal);
    assert_eq!(stale["fetched news"], "monday");

    let mut ignoring = ToyGraph::default();
    let os = ignoring.image("os");
    let goal = ignoring.add_with(Toy::Fetch { name: "news".into() }, &[os], true);
    let Built { outcome: files, counts } = build(&mut world, &ignoring, goal);
    assert_eq!((files.unwrap()["fetched news"].as_str(), counts.ran().len()), ("tuesday", 1));
    let Built { outcome: files, counts } = build(&mut world, &graph, goal);
    assert_eq!((files.unwrap()["fetched news"].as_str(), counts.ran().len()), ("tuesday", 0));
}

/// As `build`, for graphs whose steps are no functions.
fn cached_files(world: &mut World, graph: &ToyGraph, goal: Edge) -> Files {
    let mut build = Build::new(world, graph);
    let job = build.want(goal);
    build.run();
    build.outcome(job).clone().unwrap()
}

#[test]
fn steps_above_an_ignoring_stage_see_its_new_result() {
    let mut world = World::default();
    let graph_with = |ignore: bool| {
        let mut graph = ToyGraph::default();
        let os = graph.image("os");
        let fetched = graph.add_with(Toy::Fetch { name: "news".into() }, &[os], ignore);
        let whole = graph.run("print", fetched);
        let slim = graph.image("slim");
        let part = graph.copy("fetched news", whole, slim);
        let goal = graph.run("setup", part);
        (graph, goal)
    };
    world.outside.web.insert("news".into(), "monday".into());
    let (graph, goal) = graph_with(false);
    build(&mut world, &graph, goal);
    // Nothing new: the part that counts by content stops the change.
    let (ignoring, goal) = graph_with(true);
    let counts = build(&mut world, &ignoring, goal).counts;
    assert_eq!(counts.ran(), ["fetch news", "run print"]);
    world.outside.web.insert("news".into(), "tuesday".into());
    let counts = build(&mut world, &ignoring, goal).counts;
    assert_eq!(counts.ran(), ["copy fetched news", "fetch news", "run print", "run setup"]);
}

#[test]
fn a_goal_whose_record_lost_its_files_runs_again() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let goal = app(&mut graph);
    local(&mut world, "context", &[("src/app", "1")]);
    build(&mut world, &graph, goal);
    world.gone = world.records.keys().copied().collect();
    let again = build(&mut world, &graph, goal).counts;
    assert_eq!(again.ran(), ["copy src/app", "run check", "run deps", "run make"]);
    assert!(build(&mut world, &graph, goal).counts.ran().is_empty());
}

#[test]
fn a_goal_found_twice_and_gone_twice_runs_on_loaded_inputs() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let first = graph.run("a", os);
    build(&mut world, &graph, first);
    let before: Vec<CacheKey> = world.records.keys().copied().collect();
    let goal = graph.run("b", first);
    build(&mut world, &graph, goal);
    world.gone = world.records.keys().filter(|key| !before.contains(key)).copied().collect();
    assert_eq!(world.gone.len(), 2);
    let again = build(&mut world, &graph, goal).counts;
    assert_eq!(again.executed, ["run b"]);
    assert_eq!(again.loaded, ["run b", "run b", "run a"]);
}

#[test]
fn pruned_records_below_a_hit_are_not_missed() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let goal = app(&mut graph);
    local(&mut world, "context", &[("src/app", "1")]);
    build(&mut world, &graph, goal);
    let mut kept = World { outside: world.outside.clone(), ..World::default() };
    let goal_files = graph.fresh(goal, &world.outside).unwrap();
    kept.records = world.records.into_iter().filter(|(_, record)| record.results[0] == goal_files).collect();
    let warm = build(&mut kept, &graph, goal).counts;
    assert!(warm.ran().is_empty(), "{:?}", warm.executed);
}

/// A record promises an identity, its files are gone, and the step gives something else this time: what is built on it must
/// not be stored under the promised identity.
#[test]
fn nothing_is_stored_under_an_identity_that_turned_out_to_be_untrue() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let fetched = graph.fetch("tool", os);
    let tool = graph.copy("fetched tool", fetched, os);
    let pinned = graph.run("use", tool);
    world.outside.web.insert("tool".into(), "old".into());
    build(&mut world, &graph, tool);
    // Everything about the fetched tool is lost but the promise of `COPY`; the web has moved on.
    let tool_files = graph.fresh(tool, &world.outside).unwrap();
    world.records.retain(|key, record| matches!(key, CacheKey::Definition(_)) && record.results[0] == tool_files);
    world.gone = world.records.keys().copied().collect();
    world.outside.web.insert("tool".into(), "new".into());
    let files = build(&mut world, &graph, pinned).outcome;
    let new = files.unwrap();

    // Somebody who has the old tool by other means must not get what was built with the new one.
    let mut other = ToyGraph::default();
    let (os, context) = (other.image("os"), other.local("context"));
    let tool = other.copy("fetched tool", context, os);
    let goal = other.run("use", tool);
    local(&mut world, "context", &[("fetched tool", "old")]);
    let files = build(&mut world, &other, goal).outcome;
    assert_ne!(files.unwrap(), new);
}
