//! In: buildx's state directory and our own beside it. Out: builders and their nodes, made, chosen, listed, removed. Never: a build; a file real buildx cannot read.
