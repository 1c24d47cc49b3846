//! In: an op and its platform. Out: the facts that make its keys, and the explanation of a key. Never: the order of work.
//!
//! A *definition* key is the op over the definition keys of its inputs; a *content* key is the op over what the inputs hold.
//! Both contain every fact of the op marked "both" (spec/dockerfile.md §5):
//!
//! | fact | key | reason |
//! |---|---|---|
//! | **all steps** | | |
//! | step name, source lines, description | neither | shown, not done |
//! | `ignore_cache` | neither | says whether to look, not what to look for |
//! | input, used as a whole | both | definition: its definition key, output and selector; content: its identity and output |
//! | input, read in part (COPY source, read-only mount) | both | definition: definition key and selector; content: digest of the selected files only |
//! | input is a local source | content | the same words name other files next time, so nothing above it has a definition key |
//! | mtimes of files read | neither | a touched file changes nothing (the performer's file digest leaves them out) |
//! | mode, numeric owner, xattrs, link target of files read | content | within the file digest |
//! | **image source** | | |
//! | manifest digest, platform, layer limit | definition | pinned content |
//! | name, tag, registry, mirror, resolve mode | neither | equal digests are equal bytes |
//! | chain id of its layers | content | the identity the performer gives: equal layers hit whatever their config or name is |
//! | **RUN** | | |
//! | args, env (build args in use are env), cwd, user, host name | both | seen by the process |
//! | network mode, security mode, ulimits, cgroup parent, valid exit codes, platform | both | change what the process may do or is |
//! | mounts: dest, kind, read-only, which input and output, tmpfs size | both | seen by the process |
//! | mount selector | definition | with the input; the content key has the files instead |
//! | cache mount id, sharing, contents | neither | a cache may be lost or shared at any time without changing what a step means |
//! | secret and ssh mounts: id, dest, owner, mode, required; names of secret variables | both | seen by the process |
//! | secret values, ssh keys | neither | must not leave a trace; a new token is no new step |
//! | extra host names | both | seen by the process |
//! | addresses of extra hosts, proxy variables | neither | belong to the place, not to the step |
//! | SOURCE_DATE_EPOCH | both | it is env of RUN, and the timestamp of file actions |
//! | **COPY, ADD, WORKDIR, here-documents** | | |
//! | actions in order: dest, owner, mode, flags, patterns, timestamp, data of written files | both | what is done |
//! | base name of the copied path | both | it names the file in the destination |
//! | directory of the copied path | definition | by content only the files count, wherever they were |
//! | `/etc/passwd`, `/etc/group` of an input that gives names of owners only | both | as an input read in part |
//! | platform | neither | copying bytes is the same everywhere |
//! | **merge, diff** | | |
//! | order of inputs | both | what is done |

mod inputs;
mod walk;

use crossdock_llb::{Op, SourceOp, Vertex};
use crossdock_oci::BlobDigest;

use crate::digest::OpDigest;
use crate::event::{Identity, InputKey, KeyInfo};
use crate::preimage::{ContentPreimage, InputPart};
use crate::sink::{Explanation, Hasher, Line};

pub use self::inputs::{ContentSelector, content_selectors};
pub use self::walk::walk;

/// The facts of a vertex the solver needs.
pub fn key_info(vertex: &Vertex) -> KeyInfo {
    let mut hasher = Hasher::new();
    walk(vertex, &mut hasher);
    let rules = inputs::input_rules(&vertex.op, vertex.inputs.len());
    let inputs = rules.iter().map(|rule| InputKey { selector: rule.digest(), by_content: rule.by_content }).collect();
    let identity = match &vertex.op {
        Op::Source(source) if pinned_digest(source).is_some() => Identity::Given,
        // What an unpinned name means may change at any time, so its files decide.
        Op::Source(_) => Identity::Volatile,
        Op::Exec(_) | Op::File(_) | Op::Merge(_) | Op::Diff => Identity::Derived,
    };
    KeyInfo { op: OpDigest::from_raw(hasher.finish()), inputs, identity }
}

/// What a content key was made of, in words: first the op, then its inputs.
pub fn explain(vertex: &Vertex, preimage: &ContentPreimage) -> Explanation {
    let mut explanation = Explanation::default();
    walk(vertex, &mut explanation);
    let rules = inputs::input_rules(&vertex.op, vertex.inputs.len());
    for (number, part) in preimage.inputs.iter().enumerate() {
        let rule = rules.get(number);
        let (label, value) = match part {
            InputPart::Files(digest) => (rule.map(inputs::InputRule::content_label), digest.to_string()),
            InputPart::Identity { key, .. } => (rule.map(inputs::InputRule::whole_label), key.to_string()),
        };
        explanation.lines.push(Line { label: label.unwrap_or_else(|| format!("input {number}")), value });
    }
    explanation
}

/// The manifest digest in `docker-image://name@sha256:…` or `oci-layout://name@sha256:…`.
fn pinned_digest(source: &SourceOp) -> Option<BlobDigest> {
    let (scheme, rest) = source.identifier.split_once("://")?;
    let (_, digest) = rest.rsplit_once('@')?;
    matches!(scheme, "docker-image" | "oci-layout").then(|| digest.parse().ok())?
}

#[cfg(test)]
mod tests;
