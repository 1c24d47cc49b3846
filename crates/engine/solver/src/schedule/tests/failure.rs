//! In: steps that fail, jobs that are given up. Out: what still runs, and what each job is told. Never: a hang.

use super::toy::{Toy, ToyGraph, files};
use super::world::{Build, Built, World, build};
use crate::event::{Edge, Event, Failure, InvalidGraph, JobId, RecordId, VertexDigest};

fn world(pairs: &[(&str, &str)]) -> World {
    let mut world = World::default();
    world.outside.locals.insert("context".into(), files(pairs));
    world
}

#[test]
fn the_failing_vertex_is_named_and_nothing_above_it_starts() {
    let mut world = world(&[("x", "bad")]);
    let mut graph = ToyGraph::default();
    let (os, context) = (graph.image("os"), graph.local("context"));
    let copied = graph.copy("x", context, os);
    let failing = graph.test("t", copied);
    let goal = graph.run("after", failing);
    let mut build = Build::new(&mut world, &graph);
    let job = build.want(goal);
    build.run();
    let Err(Failure::Vertex { vertex, cause }) = *build.outcome(job) else { panic!("no failure") };
    assert_eq!((vertex, build.causes[cause.0 as usize].as_str()), (failing.vertex, "test t failed"));
    assert_eq!(build.counts.ran(), ["copy x", "test t"]);
}

#[test]
fn what_ran_before_a_failure_is_kept() {
    let mut world = world(&[("x", "bad")]);
    let mut graph = ToyGraph::default();
    let (os, context) = (graph.image("os"), graph.local("context"));
    let copied = graph.copy("x", context, os);
    let goal = graph.test("t", copied);
    assert!(build(&mut world, &graph, goal).outcome.is_err());
    let Built { outcome, counts } = build(&mut world, &graph, goal);
    assert!(outcome.is_err());
    assert_eq!(counts.ran(), ["test t"], "a failure is never cached, what is below it is");
    world.outside.locals.insert("context".into(), files(&[("x", "good")]));
    assert!(build(&mut world, &graph, goal).outcome.is_ok());
}

#[test]
fn a_missing_source_file_fails_the_step_that_copies_it() {
    let mut world = world(&[]);
    let mut graph = ToyGraph::default();
    let (os, context) = (graph.image("os"), graph.local("context"));
    let copied = graph.copy("missing", context, os);
    let goal = graph.run("after", copied);
    let mut build = Build::new(&mut world, &graph);
    let job = build.want(goal);
    build.run();
    assert!(matches!(build.outcome(job), Err(Failure::Vertex { vertex, .. }) if *vertex == copied.vertex));
    assert_eq!(build.causes, ["missing not found"]);
}

#[test]
fn a_failure_cancels_what_runs_beside_it() {
    let (mut world, mut graph) = (world(&[("x", "bad")]), ToyGraph::default());
    let (os, context) = (graph.image("os"), graph.local("context"));
    let slow = graph.run("slow", os);
    let copied = graph.copy("x", context, os);
    let failing = graph.test("t", copied);
    let goal = graph.run_reading("join", failing, "ran slow", slow);
    let mut build = Build::new(&mut world, &graph);
    build.held.insert(slow.vertex);
    let job = build.want(goal);
    build.run();
    assert!(matches!(build.outcome(job), Err(Failure::Vertex { vertex, .. }) if *vertex == failing.vertex));
    assert_eq!(build.counts.cancelled, ["run slow"]);
    build.release(slow);
    build.run();
    assert!(!build.counts.executed.contains(&"run join".to_owned()));
}

#[test]
fn a_vertex_wanted_by_another_job_goes_on() {
    let (mut world, mut graph) = (world(&[("x", "bad")]), ToyGraph::default());
    let (os, context) = (graph.image("os"), graph.local("context"));
    let slow = graph.run("slow", os);
    let copied = graph.copy("x", context, os);
    let failing = graph.test("t", copied);
    let joined = graph.run_reading("join", failing, "ran slow", slow);
    let alone = graph.run("alone", slow);
    let mut build = Build::new(&mut world, &graph);
    build.held.insert(slow.vertex);
    let jobs = [joined, alone].map(|goal| build.want(goal));
    build.run();
    assert!(build.outcome(jobs[0]).is_err());
    assert!(build.counts.cancelled.is_empty());
    build.release(slow);
    build.run();
    assert!(build.outcome(jobs[1]).is_ok());
}

#[test]
fn every_job_that_needs_a_failing_vertex_is_told() {
    let (mut world, mut graph) = (world(&[("x", "bad")]), ToyGraph::default());
    let (os, context) = (graph.image("os"), graph.local("context"));
    let copied = graph.copy("x", context, os);
    let failing = graph.test("t", copied);
    let goals = ["a", "b"].map(|text| graph.run(text, failing));
    let mut build = Build::new(&mut world, &graph);
    let jobs = goals.map(|goal| build.want(goal));
    build.run();
    assert_eq!(build.outcome(jobs[0]), build.outcome(jobs[1]));
    assert_eq!(build.counts.ran(), ["copy x", "test t"]);
}

#[test]
fn a_later_job_tries_a_failed_vertex_again() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let goal = graph.fetch("page", os);
    world.outside.web.insert("page".into(), "down".into());
    let mut build = Build::new(&mut world, &graph);
    let first = build.want(goal);
    build.run();
    assert!(build.outcome(first).is_err());
    build.world.outside.web.insert("page".into(), "up".into());
    let second = build.want(goal);
    build.run();
    assert!(build.outcome(second).is_ok());
}

#[test]
fn a_cancelled_job_stops_what_runs_and_starts_nothing() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let slow = graph.run("slow", os);
    let goal = graph.run("after", slow);
    let mut build = Build::new(&mut world, &graph);
    let job = build.want(goal);
    build.run_until_executing(slow);
    build.cancel(job);
    build.cancel(job);
    assert_eq!(build.outcome(job), &Err(Failure::Cancelled));
    assert_eq!(build.counts.cancelled, ["run slow"]);
    build.release(slow);
    build.run();
    assert!(!build.counts.executed.contains(&"run after".to_owned()));
}

#[test]
fn a_vertex_wanted_again_while_it_stops_begins_anew() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let slow = graph.run("slow", os);
    let goal = graph.run("after", slow);
    let mut build = Build::new(&mut world, &graph);
    let first = build.want(goal);
    build.run_until_executing(slow);
    build.cancel(first);
    let second = build.want(goal);
    build.release(slow);
    build.run();
    assert!(build.outcome(second).is_ok());
    assert_eq!(build.counts.ran(), ["run after", "run slow", "run slow"]);
}

#[test]
fn jobs_can_be_cancelled_at_every_moment() {
    let mut graph = ToyGraph::default();
    let (os, context) = (graph.image("os"), graph.local("context"));
    let copied = graph.copy("x", context, os);
    let first = graph.run("a", copied);
    let goal = graph.run_reading("b", first, "x", context);
    let mut world = world(&[("x", "1")]);
    for warm in [false, true] {
        for moment in 0..40 {
            let mut world = world.clone();
            let mut build = Build::new(&mut world, &graph);
            let job = build.want(goal);
            let calls = (0..moment).take_while(|_| build.answer_one()).count();
            build.cancel(job);
            build.run();
            assert!(build.outcomes.contains_key(&job));
            let again = build.want(goal);
            build.run();
            assert!(build.outcome(again).is_ok(), "warm {warm}, cancelled after {calls} answers");
        }
        build(&mut world, &graph, goal);
    }
}

/// The final base cannot be made while the builder stage runs.
#[test]
fn a_failure_beside_a_long_execution_ends_the_job_at_once() {
    let (mut world, mut graph) = (world(&[("app", "1")]), ToyGraph::default());
    let (os, context) = (graph.image("os"), graph.local("context"));
    let app = graph.copy("app", context, os);
    let builder = graph.run("compile", app);
    let base = graph.fetch("packages", os);
    let configured = graph.run("configure", base);
    let goal = graph.copy("app", builder, configured);
    world.outside.web.insert("packages".into(), "down".into());
    let mut build = Build::new(&mut world, &graph);
    build.held.insert(builder.vertex);
    let job = build.want(goal);
    build.run();
    assert!(matches!(build.outcome(job), Err(Failure::Vertex { vertex, .. }) if *vertex == base.vertex));
    assert_eq!(build.counts.cancelled, ["run compile"]);
    build.held.clear();
    build.run();
}

#[test]
fn a_follower_is_not_failed_by_an_input_of_the_other() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let mut goal_on = |name: &str| {
        let base = graph.image_of(name, "12");
        graph.run("make", base)
    };
    let goals = [goal_on("broken"), goal_on("debian")];
    // The broken image is known by a record whose files are gone, and cannot be pulled again.
    let bases = goals.map(|goal| graph.vertex(goal.vertex).solve.inputs[0]);
    build(&mut world, &graph, bases[1]);
    let record = world.records.values().next().unwrap().clone();
    let key = crate::preimage::definition_key(graph.vertex(bases[0].vertex).solve.key.op, &[]);
    let key = crate::digest::CacheKey::Definition(key);
    world.records.insert(key, record);
    world.gone.insert(key);
    let mut build = Build::new(&mut world, &graph);
    let jobs = goals.map(|goal| build.want(goal));
    build.run();
    assert!(matches!(build.outcome(jobs[0]), Err(Failure::Vertex { vertex, .. }) if *vertex == bases[0].vertex));
    assert!(build.outcome(jobs[1]).is_ok());
}

#[test]
fn outputs_that_do_not_exist_are_named() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let no_such = Edge { output: 7, ..os };
    let used = graph.run("use", no_such);
    let read = graph.copy("x", no_such, os);
    for goal in [no_such, used, read] {
        let mut build = Build::new(&mut world, &graph);
        let job = build.want(goal);
        build.run();
        assert_eq!(build.outcome(job), &Err(Failure::NoSuchOutput { vertex: os.vertex, output: 7 }));
    }
}

#[test]
fn graphs_that_cannot_be_solved_are_refused() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let goal = graph.run("a", os);
    let [os_vertex, run_vertex] = [0, 1].map(|at| graph.vertices[at].solve.clone());
    let mut odd = run_vertex.clone();
    odd.key.inputs.clear();
    let cases = [
        (
            vec![run_vertex.clone(), os_vertex.clone()],
            InvalidGraph::MissingInput { vertex: goal.vertex, input: os.vertex },
        ),
        (vec![os_vertex.clone()], InvalidGraph::MissingGoal { goal: goal.vertex }),
        (vec![os_vertex, odd], InvalidGraph::InputCount { vertex: goal.vertex, inputs: 1, keys: 0 }),
    ];
    for (vertices, reason) in cases {
        let mut build = Build::new(&mut world, &graph);
        let job = build.want_of(vertices, goal);
        assert_eq!(build.outcome(job), &Err(Failure::Invalid(reason)));
    }
}

#[test]
fn answers_nobody_waits_for_are_ignored() {
    let (mut world, mut graph) = (World::default(), ToyGraph::default());
    let os = graph.image("os");
    let goal = graph.add(Toy::Merge, &[os, os]);
    let mut build = Build::new(&mut world, &graph);
    let job = build.want(goal);
    build.run();
    assert!(build.outcome(job).is_ok());
    let stranger = VertexDigest::of(b"stranger");
    for vertex in [stranger, os.vertex, goal.vertex] {
        let strays = [
            Event::Looked { vertex, found: None },
            Event::Looked { vertex, found: Some((RecordId(9), crate::ContentKey::from_raw([0; 32]))) },
            Event::Loaded { vertex, results: None },
            Event::Digested { vertex, input: 9, digest: Err(crate::CauseId(0)) },
            Event::Executed { vertex, results: vec![], identity: None },
            Event::Failed { vertex, cause: crate::CauseId(0) },
            Event::CancelJob { job: JobId(99) },
        ];
        for stray in strays {
            assert_eq!(build.scheduler.step(stray), vec![]);
        }
    }
}
