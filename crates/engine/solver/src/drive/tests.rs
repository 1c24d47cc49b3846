//! In: a performer of toy processes. Out: what jobs on several threads get. Never: a wait without an end.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::{Duration, Instant};

use crossdock_llb::{ExecMeta, ExecOp, Graph, Metadata, Mount, MountKind, Network, Op, Security, SourceOp};

use super::*;

/// A result is text: what was run on what. Words of the command have meanings.
#[derive(Default)]
struct Toy {
    records: Mutex<HashMap<CacheKey, (Vec<String>, ContentKey)>>,
    executed: Mutex<Vec<String>>,
    completed: Mutex<Vec<(String, bool)>>,
    stored: AtomicUsize,
    together: Option<Barrier>,
}

#[derive(Debug, thiserror::Error)]
#[error("{0} failed")]
struct ToyError(String);

impl Toy {
    fn executed(&self) -> Vec<String> {
        let mut names = self.executed.lock().unwrap().clone();
        names.sort();
        names
    }
}

impl Performer for Toy {
    type Result = String;
    type Record = Vec<String>;
    type Error = ToyError;

    fn lookup(&self, vertex: &Vertex, key: CacheKey) -> Option<Found<Vec<String>>> {
        assert!(!vertex.metadata.name.contains("panic in lookup"), "lookup panics");
        let found = self.records.lock().unwrap().get(&key).cloned();
        found.map(|(record, identity)| Found { record, identity })
    }

    fn load(&self, _: &Vertex, record: Vec<String>) -> Option<Vec<String>> {
        Some(record)
    }

    fn content_digest(&self, _: &Vertex, _: usize, source: &String, _: &Cancel) -> Result<ContentDigest, ToyError> {
        Ok(ContentDigest::from_raw(*crossdock_oci::VertexDigest::of(source.as_bytes()).as_bytes()))
    }

    fn execute(&self, execution: Execution<'_, String>) -> Result<Executed<String>, ToyError> {
        let name = execution.vertex.metadata.name.clone();
        self.executed.lock().unwrap().push(name.clone());
        if name.contains("together") {
            self.together.as_ref().unwrap().wait();
        }
        if name.contains("until cancelled") {
            let (wake, woken) = channel();
            let _registration = execution.cancel.on_cancel(move || wake.send(()).unwrap());
            woken.recv().unwrap();
            assert!(execution.cancel.is_cancelled());
        }
        assert!(!name.contains("panic in execute"), "the toy panics");
        if name.contains("fail") {
            return Err(ToyError(name));
        }
        let results = vec![format!("{name}({})", execution.inputs.join(","))];
        Ok(Executed { results, identity: None })
    }

    fn store(&self, vertex: &Vertex, stored: Stored<'_, String>) {
        if vertex.metadata.name.contains("slow store") {
            std::thread::sleep(Duration::from_millis(50));
        }
        for key in stored.keys {
            self.records.lock().unwrap().insert(*key, (stored.results.to_vec(), stored.identity));
        }
        self.stored.fetch_add(1, Ordering::SeqCst);
    }

    fn completed(&self, vertex: &Vertex, cached: bool, _: &[CacheKey]) {
        self.completed.lock().unwrap().push((vertex.metadata.name.clone(), cached));
    }
}

#[derive(Default)]
struct Steps(Graph);

impl Steps {
    fn local(&mut self) -> Edge {
        let op = Op::Source(SourceOp { identifier: "local://context".into(), attrs: BTreeMap::new() });
        self.0.add(op, vec![], None, Metadata { name: "context".into(), ..Metadata::default() })
    }

    fn run(&mut self, name: &str, inputs: &[Edge]) -> Edge {
        let mounts = (0..inputs.len()).map(|at| Mount {
            input: Some(at as u32),
            selector: String::new(),
            dest: if at == 0 { "/".into() } else { format!("/mnt/{at}") },
            output: (at == 0).then_some(0),
            readonly: at > 0,
            kind: MountKind::Bind,
        });
        let meta = ExecMeta { args: vec![name.to_owned()], ..ExecMeta::default() };
        let mounts = mounts.collect();
        let exec = ExecOp { meta, mounts, network: Network::Default, security: Security::Sandbox, secret_env: vec![] };
        let metadata = Metadata { name: name.to_owned(), ..Metadata::default() };
        self.0.add(Op::Exec(Box::new(exec)), inputs.to_vec(), None, metadata)
    }

    fn solve(&self, solver: &Solver<Toy>, goal: Edge) -> Job<Toy> {
        solver.solve(&self.0.definition(Some(goal)).vertices, goal)
    }
}

fn solver(toy: &Arc<Toy>) -> Solver<Toy> {
    Solver::start(Arc::clone(toy), SolverOptions { parallel_executions_max: None })
}

#[test]
fn a_build_runs_and_the_next_one_finds_it() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let context = steps.local();
    let first = steps.run("a", &[context]);
    let goal = steps.run("b", &[first, context]);
    for executed in [vec!["a", "b", "context"], vec!["a", "b", "context", "context"]] {
        let solver = solver(&toy);
        assert_eq!(steps.solve(&solver, goal).wait().unwrap(), "b(a(context()),context())");
        solver.close();
        assert_eq!(toy.executed(), executed);
    }
    let completed = toy.completed.lock().unwrap();
    assert_eq!(completed.iter().filter(|(_, cached)| *cached).count(), 2);
}

#[test]
fn independent_steps_and_jobs_run_at_the_same_time() {
    let toy = Arc::new(Toy { together: Some(Barrier::new(3)), ..Toy::default() });
    let mut steps = Steps::default();
    let first = steps.run("together 1", &[]);
    let second = steps.run("together 2", &[]);
    let third = steps.run("together 3", &[]);
    let joined = steps.run("join", &[first, second]);
    let solver = solver(&toy);
    let jobs = [joined, third].map(|goal| steps.solve(&solver, goal));
    assert!(jobs.into_iter().all(|job| job.wait().is_ok()));
}

#[test]
fn jobs_may_come_from_many_threads() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let shared = steps.run("shared", &[]);
    let goals: Vec<Edge> = (0..20).map(|n| steps.run(&format!("step {n}"), &[shared])).collect();
    let solver = solver(&toy);
    std::thread::scope(|scope| {
        for goal in &goals {
            scope.spawn(|| steps.solve(&solver, *goal).wait().unwrap());
        }
    });
    assert_eq!(toy.executed().iter().filter(|name| *name == "shared").count(), 1);
}

#[test]
fn an_error_comes_with_its_vertex() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let failing = steps.run("fail here", &[]);
    let goal = steps.run("after", &[failing]);
    match steps.solve(&solver(&toy), goal).wait() {
        Err(SolveError::Vertex { vertex, source }) => {
            assert_eq!((vertex.digest, source.to_string().as_str()), (failing.vertex, "fail here failed"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_panic_of_the_performer_ends_the_job_not_the_solver() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let panicking = steps.run("panic in execute", &[]);
    let careless = steps.run("panic in lookup", &[]);
    let solver = solver(&toy);
    match steps.solve(&solver, panicking).wait() {
        Err(SolveError::Panicked { message, .. }) => assert_eq!(message, "the toy panics"),
        other => panic!("{other:?}"),
    }
    assert!(steps.solve(&solver, careless).wait().is_ok(), "a lookup that panics is a miss");
}

#[test]
fn a_cancelled_execution_is_woken() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let goal = steps.run("until cancelled", &[]);
    let solver = solver(&toy);
    let job = steps.solve(&solver, goal);
    while toy.executed().is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    job.cancel();
    assert!(matches!(job.wait(), Err(SolveError::Cancelled)));
}

#[test]
fn closing_cancels_what_is_wanted_and_waits_for_stores() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let endless = steps.run("until cancelled", &[]);
    let quick = steps.run("slow store", &[]);
    let solver = solver(&toy);
    let (endless, quick) = (steps.solve(&solver, endless), steps.solve(&solver, quick));
    quick.wait().unwrap();
    while toy.executed().len() < 2 {
        std::thread::sleep(Duration::from_millis(1));
    }
    solver.close();
    assert_eq!(toy.stored.load(Ordering::SeqCst), 2, "an execution that ends well is kept, even a cancelled one");
    assert!(matches!(endless.wait(), Err(SolveError::Cancelled)));
}

#[test]
fn cancel_all_leaves_the_solver_usable() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let endless = steps.run("until cancelled", &[]);
    let quick = steps.run("quick", &[]);
    let solver = solver(&toy);
    let job = steps.solve(&solver, endless);
    solver.cancel_all();
    assert!(matches!(job.wait(), Err(SolveError::Cancelled)));
    assert!(steps.solve(&solver, quick).wait().is_ok());
}

#[test]
fn a_job_that_was_dropped_disturbs_nobody() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let goals = ["a", "b"].map(|name| steps.run(name, &[]));
    let solver = solver(&toy);
    drop(steps.solve(&solver, goals[0]));
    assert!(steps.solve(&solver, goals[1]).wait().is_ok());
}

#[test]
fn a_thousand_steps_take_no_time() {
    let (toy, mut steps) = (Arc::new(Toy::default()), Steps::default());
    let mut goal = steps.run("base", &[]);
    for n in 0..1_000 {
        goal = steps.run(&n.to_string(), &[goal]);
    }
    let started = Instant::now();
    let solver = solver(&toy);
    steps.solve(&solver, goal).wait().unwrap();
    solver.close();
    assert!(started.elapsed() < Duration::from_secs(10), "took {:?}", started.elapsed());
}
