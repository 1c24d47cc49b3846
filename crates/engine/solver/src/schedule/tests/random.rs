//! In: random graphs, edits, losses, orders of answers. Out: the law "cached == fresh", and that every build ends. Never: an unseeded choice.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::toy::{Toy, ToyGraph, files};
use super::world::{Build, Dice, Order, World};
use crate::event::{Edge, Failure};

const LOCALS: [&str; 3] = ["context", "assets", "config"];
const PATHS: [&str; 4] = ["a/x", "b/x", "y", "z"];

/// One vertex of a random graph: `a` and `b` choose inputs among those before it.
#[derive(Debug, Clone)]
struct Choice {
    kind: u8,
    a: u16,
    b: u16,
    text: u8,
    ignore: bool,
}

/// One build, and what happened before it.
#[derive(Debug, Clone)]
struct Round {
    /// (local source, path, text; 4 removes the file)
    edits: Vec<(u8, u8, u8)>,
    /// (vertex, text): changes what a step says.
    changed_steps: Vec<(u16, u8)>,
    /// Which records are removed, and which lose their files: one in so many, 0 for none.
    pruned: usize,
    gone: usize,
    goals: Vec<u16>,
    limit: u8,
    seed: u64,
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let choice = (0..16_u8, any::<u16>(), any::<u16>(), 0..3_u8, prop::bool::weighted(0.1));
    let choice = choice.prop_map(|(kind, a, b, text, ignore)| Choice { kind, a, b, text, ignore });
    prop::collection::vec(choice, 1..40)
}

fn rounds() -> impl Strategy<Value = Vec<Round>> {
    let edits = prop::collection::vec((0..3_u8, 0..4_u8, 0..6_u8), 0..3);
    let steps = prop::collection::vec((any::<u16>(), 0..3_u8), 0..2);
    let lost = || prop_oneof![2 => Just(0_usize), 1 => 1..6_usize];
    let goals = prop::collection::vec(any::<u16>(), 1..4);
    let round = (edits, steps, lost(), lost(), goals, 0..4_u8, any::<u64>()).prop_map(
        |(edits, changed_steps, pruned, gone, goals, limit, seed)| Round {
            edits,
            changed_steps,
            pruned,
            gone,
            goals,
            limit,
            seed,
        },
    );
    prop::collection::vec(round, 1..6)
}

fn graph_of(choices: &[Choice]) -> (ToyGraph, Vec<Edge>) {
    let mut graph = ToyGraph::default();
    let mut edges = vec![graph.image("os")];
    edges.extend(LOCALS.map(|name| graph.local(name)));
    for choice in choices {
        let pick = |n: u16| edges[usize::from(n) % edges.len()];
        let (a, b) = (pick(choice.a), pick(choice.b));
        let text = format!("t{}", choice.text);
        let path = PATHS[usize::from(choice.b) % PATHS.len()].to_owned();
        let reads = (choice.kind % 2 == 0).then(|| path.clone());
        let (toy, inputs) = match choice.kind {
            0 => (Toy::Image { name: text, files: files(&[("os", "same")]) }, vec![]),
            1 => (Toy::Image { name: text.clone(), files: files(&[("os", &text), ("y", "1")]) }, vec![]),
            2 => (Toy::Split { text }, vec![a]),
            3 => (Toy::Merge, vec![a, b, a]),
            4 => (Toy::Merge, vec![b]),
            5 | 6 => (Toy::Test { text }, vec![a]),
            7..=10 => (Toy::Run { text, reads }, vec![a, b]),
            _ => (Toy::Copy { path }, vec![a, b]),
        };
        let is_split = matches!(toy, Toy::Split { .. });
        let edge = graph.add_with(toy, &inputs, choice.ignore);
        edges.push(edge);
        if is_split {
            edges.push(Edge { output: 1, ..edge });
        }
    }
    (graph, edges)
}

fn change(world: &mut World, choices: &mut [Choice], round: &Round) {
    for (local, path, text) in &round.edits {
        let files = world.outside.locals.entry(LOCALS[usize::from(*local)].to_owned()).or_default();
        let path = PATHS[usize::from(*path)].to_owned();
        match text {
            4 => drop(files.remove(&path)),
            5 => drop(files.insert(path, "bad".to_owned())),
            n => drop(files.insert(path, n.to_string())),
        }
    }
    for (at, text) in &round.changed_steps {
        let at = usize::from(*at) % choices.len();
        choices[at].text = *text;
    }
    let mut dice = Dice(round.seed);
    if round.pruned > 0 {
        world.records.retain(|_, _| !dice.one_in(round.pruned));
    }
    if round.gone > 0 {
        let keys: Vec<_> = world.records.keys().copied().collect();
        world.gone.extend(keys.into_iter().filter(|_| dice.one_in(round.gone)));
    }
}

/// One process: jobs come and go between answers in random order; every job left is what a fresh build gives.
fn build_once(world: &mut World, choices: &[Choice], round: &Round) -> Result<(), TestCaseError> {
    let (graph, edges) = graph_of(choices);
    let mut dice = Dice(round.seed ^ 1);
    let mut build = Build::limited(world, &graph, NonZeroUsize::new(usize::from(round.limit)));
    build.order = Order::Random(Dice(round.seed ^ 2));
    let mut goals: Vec<Edge> = round.goals.iter().map(|goal| edges[usize::from(*goal) % edges.len()]).collect();
    let mut jobs = Vec::new();
    let mut cancelled = Vec::new();
    loop {
        if !goals.is_empty() && dice.one_in(3) {
            let goal = goals.remove(0);
            jobs.push((build.want(goal), goal));
        } else if !jobs.is_empty() && dice.one_in(24) {
            let (job, _) = jobs[dice.below(jobs.len())];
            if !build.outcomes.contains_key(&job) {
                cancelled.push(job);
            }
            build.cancel(job);
        } else if !build.answer_one() && goals.is_empty() {
            break;
        }
    }
    for (job, goal) in jobs {
        let outcome = build.outcomes.get(&job);
        prop_assert!(outcome.is_some(), "job {:?} never ends", job);
        let fresh = graph.fresh(goal, &build.world.outside);
        match outcome.unwrap() {
            Err(Failure::Cancelled) => prop_assert!(cancelled.contains(&job)),
            Ok(files) => prop_assert_eq!(Ok(files), fresh.as_ref()),
            Err(failure) => prop_assert!(fresh.is_err(), "{:?} instead of {:?}", failure, fresh),
        }
    }
    Ok(())
}

fn history(choices: &[Choice], rounds: &[Round]) -> Result<(), TestCaseError> {
    let (mut world, mut choices) = (World::default(), choices.to_vec());
    for name in LOCALS {
        let all: Vec<(&str, &str)> = PATHS.iter().map(|path| (*path, "0")).collect();
        world.outside.locals.insert(name.to_owned(), files(&all));
    }
    for round in rounds {
        change(&mut world, &mut choices, round);
        build_once(&mut world, &choices, round)?;
    }
    Ok(())
}

/// The same histories on every run. A soak asks for more, or others: `CROSSDOCK_SOAK_CASES=20000 CROSSDOCK_SOAK_SEED=7`.
fn config() -> ProptestConfig {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("CROSSDOCK_SOAK_CASES").unwrap_or(400) as u32;
    let rng_seed = RngSeed::Fixed(number("CROSSDOCK_SOAK_SEED").unwrap_or(1));
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn cached_equals_fresh(choices in choices(), rounds in rounds()) {
        history(&choices, &rounds)?;
    }
}
