//! In: `testdata/cli/<case>/cmd`. Out: what the real program says and how it ends, compared with the files beside it or, with UPDATE=1, written. Never: the user's own state, configuration or home.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test file: clippy sees only functions marked as tests")]

mod cases;
mod filters;
mod shapes;
mod world;
