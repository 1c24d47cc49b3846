//! In: an endpoint. Out: the engine's answers. Never: a connection kept open behind an answer.
