//! In: an image and a command. Out: containers kept in the state directory: made, started, stopped, copied from, removed. Never: a daemon; a build.
