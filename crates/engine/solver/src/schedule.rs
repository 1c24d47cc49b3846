//! In: events. Out: effects. Never: blocking, recursion over the graph, an opinion about what an op does.

use std::num::NonZeroUsize;

use crate::event::{Effect, Event};

/// Decides what is due.
#[derive(Debug)]
pub struct Scheduler {
    parallel_executions_max: Option<NonZeroUsize>,
}

impl Scheduler {
    /// An empty graph. `parallel_executions_max` limits unanswered [`Effect::Execute`]s.
    pub fn new(parallel_executions_max: Option<NonZeroUsize>) -> Self {
        Self { parallel_executions_max }
    }

    /// Takes one event and says what is due because of it, in the order it should be started.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let _ = (event, self.parallel_executions_max);
        Vec::new()
    }
}
