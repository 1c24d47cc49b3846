//! In: toy graphs. Out: which toy ops run, and what jobs get. Never: a real op.

mod cache;
mod failure;
mod order;
mod random;
mod scale;
mod toy;
mod world;
