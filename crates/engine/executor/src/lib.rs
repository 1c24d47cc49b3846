//! In: nothing yet. Out: nothing yet. Never: anything.
