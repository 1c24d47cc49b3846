//! In: graphs of thousands of vertices. Out: work in proportion to their size, on a small stack. Never: a slow or recursive step.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::toy::{Toy, ToyGraph};
use crate::digest::{CacheKey, ContentDigest, ContentKey};
use crate::event::{Edge, Effect, Event, Identity, JobId, RecordId, ResultId};
use crate::schedule::Scheduler;

/// A debug build on a very busy machine; idle it takes well under a second.
const TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Store(HashMap<CacheKey, ContentKey>);

/// Builds `goals` as one job each, answering every call at once; gives the number of effects and of executions.
fn solve(store: &mut Store, graph: &ToyGraph, goals: &[Edge]) -> (usize, usize) {
    let started = Instant::now();
    let mut scheduler = Scheduler::new(None);
    let (mut effects, mut executions, mut done) = (0, 0, 0);
    let mut events: VecDeque<Event> = VecDeque::new();
    for (at, goal) in goals.iter().enumerate() {
        // Only the first job brings the vertices; the others find them.
        let vertices =
            if at == 0 { graph.vertices.iter().map(|vertex| vertex.solve.clone()).collect() } else { vec![] };
        events.push_back(Event::Want { job: JobId(at as u64), vertices, goal: *goal });
    }
    while let Some(event) = events.pop_front() {
        for effect in scheduler.step(event) {
            effects += 1;
            match effect {
                Effect::Lookup { vertex, key } => {
                    let found = store.0.get(&key).map(|identity| (RecordId(0), *identity));
                    events.push_back(Event::Looked { vertex, found });
                }
                Effect::Load { vertex, .. } => {
                    events.push_back(Event::Loaded { vertex, results: Some(vec![ResultId(0)]) });
                }
                Effect::Digest { vertex, input, .. } => {
                    let digest = Ok(ContentDigest::from_raw([1; 32]));
                    events.push_back(Event::Digested { vertex, input, digest });
                }
                Effect::Execute { vertex, .. } => {
                    executions += 1;
                    let identity = match graph.vertex(vertex).solve.key.identity {
                        Identity::Given => Some(ContentKey::from_raw([2; 32])),
                        Identity::Derived | Identity::Volatile => None,
                    };
                    events.push_back(Event::Executed { vertex, results: vec![ResultId(0)], identity });
                }
                Effect::Store { keys, identity, .. } => {
                    store.0.extend(keys.into_iter().map(|key| (key, identity)));
                }
                Effect::JobDone { outcome, .. } => {
                    outcome.unwrap();
                    done += 1;
                }
                Effect::Completed { .. } => {}
                Effect::Cancel { .. } => panic!("nothing was cancelled"),
            }
        }
    }
    assert_eq!(done, goals.len());
    let changes: usize = scheduler.nodes.iter().map(|node| node.epoch as usize).sum();
    assert!(changes <= 8 * graph.vertices.len(), "{changes} state changes for {} vertices", graph.vertices.len());
    assert!(started.elapsed() < TIME_MAX, "took {:?}", started.elapsed());
    (effects, executions)
}

/// Runs on a stack that recursion over the graph would overflow.
fn on_a_small_stack(test: fn()) {
    std::thread::Builder::new().stack_size(128 << 10).spawn(test).unwrap().join().unwrap();
}

fn check(graph: &ToyGraph, goals: &[Edge]) {
    let vertices = graph.vertices.len();
    let mut store = Store::default();
    let (cold, executions) = solve(&mut store, graph, goals);
    assert_eq!(executions, vertices);
    assert!(cold <= 8 * vertices, "{cold} effects for {vertices} vertices");
    let (warm, executions) = solve(&mut store, graph, goals);
    assert!(executions <= 1, "{executions} executions of a warm build");
    assert!(warm <= 3 * vertices + goals.len(), "{warm} effects for {vertices} cached vertices");
    // Only what the goals are found by is left.
    store.0.retain(|key, _| matches!(key, CacheKey::Content(_)));
    let (by_content, _) = solve(&mut store, graph, goals);
    assert!(by_content <= 8 * vertices, "{by_content} effects for {vertices} vertices found by content");
}

#[test]
fn a_long_pinned_chain() {
    on_a_small_stack(|| {
        let mut graph = ToyGraph::default();
        let mut goal = graph.image("os");
        for n in 0..10_000 {
            goal = graph.run(&n.to_string(), goal);
        }
        check(&graph, &[goal]);
    });
}

#[test]
fn a_long_chain_over_a_local_source() {
    on_a_small_stack(|| {
        let mut graph = ToyGraph::default();
        let context = graph.local("context");
        let mut goal = graph.run("base", context);
        for n in 0..10_000 {
            goal = graph.run_reading(&n.to_string(), goal, "x", context);
        }
        check(&graph, &[goal]);
    });
}

#[test]
fn a_vertex_with_many_inputs() {
    let mut graph = ToyGraph::default();
    let os = graph.image("os");
    let inputs: Vec<Edge> = (0..10_000).map(|n| graph.run(&n.to_string(), os)).collect();
    let goal = graph.add(Toy::Merge, &inputs);
    check(&graph, &[goal]);
}

#[test]
fn a_vertex_with_many_users_and_jobs() {
    let mut graph = ToyGraph::default();
    let os = graph.image("os");
    let shared = graph.run("shared", os);
    let goals: Vec<Edge> = (0..10_000).map(|n| graph.run(&n.to_string(), shared)).collect();
    check(&graph, &goals);
}

#[test]
fn a_ladder_with_exponentially_many_paths() {
    on_a_small_stack(|| {
        let mut graph = ToyGraph::default();
        let os = graph.image("os");
        let (mut left, mut right) = (graph.run("l", os), graph.run("r", os));
        for n in 0..3_000 {
            let next_left = graph.run_reading(&format!("l{n}"), left, "x", right);
            right = graph.run_reading(&format!("r{n}"), right, "y", left);
            left = next_left;
        }
        let goal = graph.add(Toy::Merge, &[left, right]);
        check(&graph, &[goal]);
    });
}

#[test]
fn a_failure_below_thousands() {
    on_a_small_stack(|| {
        let mut graph = ToyGraph::default();
        let os = graph.image("os");
        let mut goal = os;
        for n in 0..10_000 {
            goal = graph.run(&n.to_string(), goal);
        }
        let mut scheduler = Scheduler::new(None);
        let vertices = graph.vertices.iter().map(|vertex| vertex.solve.clone()).collect();
        let mut calls: VecDeque<Effect> =
            scheduler.step(Event::Want { job: JobId(0), vertices, goal }).into_iter().collect();
        let mut failed = false;
        while let Some(effect) = calls.pop_front() {
            let event = match effect {
                Effect::Lookup { vertex, .. } => Event::Looked { vertex, found: None },
                Effect::Execute { vertex, .. } => Event::Failed { vertex, cause: crate::CauseId(0) },
                Effect::JobDone { outcome, .. } => {
                    failed = outcome.is_err();
                    continue;
                }
                other => panic!("unexpected {other:?}"),
            };
            calls.extend(scheduler.step(event));
        }
        assert!(failed);
    });
}
