//! In: one request. Out: one answer, its body streamed. Never: an answer larger than its limit kept in memory.
