//! In: graphs with shared and independent parts. Out: what runs at the same time, and what runs once. Never: a world that changes.

use std::num::NonZeroUsize;

use super::toy::{ToyGraph, files};
use super::world::{Build, World, build};

fn world(pairs: &[(&str, &str)]) -> World {
    let mut world = World::default();
    world.outside.locals.insert("context".into(), files(pairs));
    world
}

#[test]
fn a_diamond_runs_its_bottom_once() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let bottom = graph.run("bottom", os);
    let (left, right) = (graph.run("left", bottom), graph.run("right", bottom));
    let goal = graph.run_reading("top", left, "ran right", right);
    let counts = build(&mut world, &graph, goal).counts;
    assert_eq!(counts.ran(), ["run bottom", "run left", "run right", "run top"]);
}

#[test]
fn two_platforms_share_their_builder_stage() {
    let mut world = world(&[("src", "1")]);
    let mut graph = ToyGraph::default();
    let (os, context) = (graph.image("os"), graph.local("context"));
    let source = graph.copy("src", context, os);
    let builder = graph.run("cross compile", source);
    let goals = ["amd64", "arm64"].map(|platform| {
        let base = graph.image(platform);
        graph.copy("ran cross compile", builder, base)
    });
    let mut build = Build::new(&mut world, &graph);
    let jobs = goals.map(|goal| build.want(goal));
    build.run();
    for (job, goal) in jobs.into_iter().zip(goals) {
        assert_eq!(build.outcome(job), &Ok(graph.fresh(goal, &build.world.outside).unwrap()));
    }
    let ran = build.counts.ran();
    assert_eq!(ran, ["copy ran cross compile", "copy ran cross compile", "copy src", "run cross compile"]);
}

#[test]
fn the_same_files_are_digested_once_for_all_platforms() {
    let mut world = world(&[("src", "1"), ("etc", "1")]);
    let mut graph = ToyGraph::default();
    let context = graph.local("context");
    let bases = ["amd64", "arm64", "riscv64"].map(|platform| graph.image(platform));
    let goals = bases.map(|base| {
        let first = graph.copy("src", context, base);
        graph.copy("etc", context, first)
    });
    let mut build = Build::new(&mut world, &graph);
    for goal in goals {
        build.want(goal);
    }
    build.run();
    assert_eq!(build.counts.ran().len(), 6);
    assert_eq!(build.counts.digested.len(), 2);
}

#[test]
fn a_later_job_takes_what_is_in_memory() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let bottom = graph.run("bottom", os);
    let goal = graph.run("top", bottom);
    let mut build = Build::new(&mut world, &graph);
    build.want(goal);
    build.run();
    let before = build.counts.clone();
    let jobs = [goal, bottom].map(|edge| build.want(edge));
    for job in jobs {
        assert!(build.outcome(job).is_ok(), "the answer needs no call");
    }
    assert_eq!(build.counts.lookups, before.lookups);
}

#[test]
fn an_equal_vertex_in_flight_is_followed() {
    let mut world = World::default();
    let mut graph = ToyGraph::default();
    for name in ["here", "there"] {
        world.outside.locals.insert(name.into(), files(&[("x", "same")]));
    }
    let os = graph.image("os");
    let goals = ["here", "there"].map(|name| {
        let source = graph.local(name);
        let copied = graph.copy("x", source, os);
        graph.run("make", copied)
    });
    let mut build = Build::new(&mut world, &graph);
    let jobs = goals.map(|goal| build.want(goal));
    build.run();
    assert_eq!(build.counts.ran(), ["copy x", "run make"]);
    for job in jobs {
        assert_eq!(build.outcome(job), &Ok(graph.fresh(goals[0], &build.world.outside).unwrap()));
    }
    let make = build.counts.completed.iter().filter(|(name, _)| name == "run make");
    assert_eq!(make.map(|(_, cached)| *cached).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_follower_goes_its_own_way_when_the_other_is_given_up_before_it_runs() {
    let mut world = World::default();
    let mut graph = ToyGraph::default();
    let goals = ["debian", "mirror/debian"].map(|name| {
        let base = graph.image_of(name, "12");
        graph.run("make", base)
    });
    let mut build = Build::new(&mut world, &graph);
    // Both images are known by their records and cannot be loaded any more, so that `make` has to wait for them.
    for goal in goals {
        let base = graph.vertex(goal.vertex).solve.inputs[0];
        build.want(base);
        build.run();
    }
    let gone = build.world.records.keys().copied().collect();
    let mut build = Build::new(&mut world, &graph);
    build.world.gone = gone;
    let bases = goals.map(|goal| graph.vertex(goal.vertex).solve.inputs[0]);
    build.held.extend(bases.map(|base| base.vertex));
    let jobs = goals.map(|goal| build.want(goal));
    build.run();
    assert!(build.is_executing(bases[0]) && !build.is_executing(bases[1]), "the second make follows the first");
    build.cancel(jobs[0]);
    build.held.clear();
    build.run();
    assert!(build.outcome(jobs[0]).is_err());
    assert!(build.outcome(jobs[1]).is_ok());
    assert_eq!(build.counts.ran(), ["run make"]);
}

#[test]
fn an_execution_that_is_followed_survives_its_own_job() {
    let mut world = World::default();
    let mut graph = ToyGraph::default();
    let goals = ["debian", "mirror/debian"].map(|name| {
        let base = graph.image_of(name, "12");
        graph.run("make", base)
    });
    let mut build = Build::new(&mut world, &graph);
    build.held.insert(goals[0].vertex);
    let jobs = goals.map(|goal| build.want(goal));
    build.run();
    assert!(build.is_executing(goals[0]) && !build.is_executing(goals[1]));
    build.cancel(jobs[0]);
    assert!(build.counts.cancelled.is_empty());
    build.release(goals[0]);
    build.run();
    assert!(build.outcome(jobs[1]).is_ok());
    assert_eq!(build.counts.ran(), ["run make"]);

    // And without a follower it does not.
    let mut world = World::default();
    let mut build = Build::new(&mut world, &graph);
    build.held.insert(goals[0].vertex);
    let jobs = goals.map(|goal| build.want(goal));
    build.run();
    build.cancel(jobs[0]);
    build.cancel(jobs[1]);
    assert_eq!(build.counts.cancelled, ["run make"]);
    build.release(goals[0]);
    build.run();
}

#[test]
fn executions_stay_below_the_limit_and_use_it() {
    for limit in [1, 3] {
        let (mut world, mut graph) = (World::default(), ToyGraph::default());
        let os = graph.image("os");
        let goals: Vec<_> = (0..10).map(|n| graph.run(&format!("step {n}"), os)).collect();
        let mut build = Build::limited(&mut world, &graph, NonZeroUsize::new(limit));
        let jobs: Vec<_> = goals.iter().map(|goal| build.want(*goal)).collect();
        build.run();
        assert!(jobs.iter().all(|job| build.outcome(*job).is_ok()));
        assert_eq!(build.counts.executing_at_once_max, limit);
    }
}

/// The final stage installs packages while the builder stage compiles.
#[test]
fn stages_of_a_cold_build_run_at_the_same_time() {
    let mut world = world(&[("src", "1")]);
    let mut graph = ToyGraph::default();
    let (os, context) = (graph.image("os"), graph.local("context"));
    let source = graph.copy("src", context, os);
    let builder = graph.run("compile", source);
    let installed = graph.run("install", os);
    let configured = graph.run("configure", installed);
    let copied = graph.copy("ran compile", builder, configured);
    let goal = graph.run("finish", copied);
    let mut build = Build::new(&mut world, &graph);
    build.held.extend([builder.vertex, installed.vertex]);
    build.want(goal);
    build.run();
    assert!(build.is_executing(builder) && build.is_executing(installed));
    build.release(installed);
    build.run();
    assert!(build.counts.executed.contains(&"run configure".to_owned()));
    assert!(!build.counts.executed.contains(&"copy ran compile".to_owned()));
    build.release(builder);
    build.run();
    assert_eq!(build.outcomes.len(), 1);
}

/// As above, with `COPY --link`: the copy is merged onto a base it does not depend on.
#[test]
fn a_linked_copy_does_not_hold_up_its_base() {
    let mut world = world(&[("src", "1")]);
    let mut graph = ToyGraph::default();
    let (os, scratch, context) = (graph.image("os"), graph.image("scratch"), graph.local("context"));
    let source = graph.copy("src", context, os);
    let builder = graph.run("compile", source);
    let installed = graph.run("install", os);
    let linked = graph.copy("ran compile", builder, scratch);
    let goal = graph.add(super::toy::Toy::Merge, &[installed, linked]);
    let mut build = Build::new(&mut world, &graph);
    build.held.extend([builder.vertex, installed.vertex]);
    build.want(goal);
    build.run();
    assert!(build.is_executing(builder) && build.is_executing(installed));
    build.held.clear();
    build.run();
    assert_eq!(build.outcomes.len(), 1);
}

#[test]
fn inputs_made_ready_early_are_loaded_not_run() {
    let mut world = world(&[("src", "1")]);
    let mut graph = ToyGraph::default();
    let (os, context) = (graph.image("os"), graph.local("context"));
    let source = graph.copy("src", context, os);
    let builder = graph.run("compile", source);
    let installed = graph.run("install", os);
    let goal = graph.copy("ran compile", builder, installed);
    build(&mut world, &graph, goal);
    world.outside.locals.insert("context".into(), files(&[("src", "2")]));
    let counts = build(&mut world, &graph, goal).counts;
    assert_eq!(counts.ran(), ["copy ran compile", "copy src", "run compile"]);
    assert_eq!(counts.loaded, ["run install", "image os"]);
}
