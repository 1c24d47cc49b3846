//! In: an op digest and what is known of its inputs. Out: definition and content keys. Never: how the parts were found.

use crate::digest::{ContentDigest, ContentKey, DefinitionKey, OpDigest, SelectorDigest};
use crate::sink::{Hasher, KeySink, Shape, Value};

/// The version stands in the preimage: a change of what keys are made of is a change of all keys.
const DEFINITION_TAG: &str = "crossdock.definition.v1";
const CONTENT_TAG: &str = "crossdock.content.v1";

/// What one input contributes to a content key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputPart {
    /// The input as a whole, by its identity.
    Identity { key: ContentKey, output: u32, selector: SelectorDigest },
    /// The files that are read.
    Files(ContentDigest),
}

/// What a content key is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentPreimage {
    pub op: OpDigest,
    /// One for each input, in their order.
    pub inputs: Vec<InputPart>,
}

/// What one input contributes to a definition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefinedInput {
    pub key: DefinitionKey,
    pub output: u32,
    pub selector: SelectorDigest,
}

/// The definition key of an op over inputs that have one.
pub fn definition_key(op: OpDigest, inputs: &[DefinedInput]) -> DefinitionKey {
    let mut sink = open(DEFINITION_TAG, op);
    for input in inputs {
        whole_input(&mut sink, &input.key.to_string(), input.output, input.selector);
    }
    DefinitionKey::from_raw(close(sink))
}

impl ContentPreimage {
    /// The content key.
    pub fn key(&self) -> ContentKey {
        let mut sink = open(CONTENT_TAG, self.op);
        for input in &self.inputs {
            match input {
                InputPart::Identity { key, output, selector } => {
                    whole_input(&mut sink, &key.to_string(), *output, *selector);
                }
                InputPart::Files(digest) => sink.fact("", "", Value::Text(&digest.to_string())),
            }
        }
        ContentKey::from_raw(close(sink))
    }
}

fn open(tag: &str, op: OpDigest) -> Hasher {
    let mut sink = Hasher::new();
    sink.enter("", Shape::Map);
    sink.fact("Type", "", Value::Text(tag));
    sink.fact("Op", "", Value::Text(&op.to_string()));
    sink.enter("Inputs", Shape::List);
    sink
}

fn whole_input(sink: &mut Hasher, key: &str, output: u32, selector: SelectorDigest) {
    sink.enter("", Shape::Map);
    sink.fact("Key", "", Value::Text(key));
    sink.fact("Output", "", Value::Number(i64::from(output)));
    sink.fact("Selector", "", Value::Text(&selector.to_string()));
    sink.leave();
}

fn close(mut sink: Hasher) -> [u8; 32] {
    sink.leave();
    sink.leave();
    sink.finish()
}
