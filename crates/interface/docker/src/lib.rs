//! In: the Docker client's configuration (contexts, hosts) and an engine's socket. Out: which engine is meant, whether it answers, images loaded into it. Never: a build; a credential.
