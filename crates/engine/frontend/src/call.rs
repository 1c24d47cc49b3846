//! In: a Dockerfile and a question about it (`--call`). Out: the answer as JSON and as text, in BuildKit's shapes. Never: a step run.
//!
//! Shapes are those of spec/dockerfile.md §10 (subrequests), checked against a real BuildKit.

mod check;
mod describe;
mod json;
mod outline;
mod table;
mod targets;

use crossdock_dockerfile::{Dockerfile, LineRange};

use crate::bridge::Bridge;
use crate::error::{Fault, FrontendError};
use crate::options::Options;
use crate::plan::Plan;
use crate::report::Report;
use crate::{build, read};
use json::Json;

/// What may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Arguments, secrets and ssh of the target.
    Outline,
    /// The stages that can be built.
    Targets,
    /// What the checks find.
    Check,
    /// What may be asked.
    Describe,
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Indented by two blanks, without a newline at its end.
    pub json: String,
    pub text: String,
    /// 0, or 1 when checks found something or the Dockerfile is wrong.
    pub status: u8,
    /// Why the Dockerfile cannot be built, where a check found that.
    pub failure: Option<String>,
}

impl Call {
    /// Reads the word of `--call`: `check` (or `lint`), `outline`, `targets`, `subrequests.describe`.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "check" | "lint" => Some(Self::Check),
            "outline" => Some(Self::Outline),
            "targets" => Some(Self::Targets),
            "subrequests.describe" => Some(Self::Describe),
            _ => None,
        }
    }
}

/// Answers a question. `shown` is the Dockerfile's name in texts, as the user gave it.
///
/// # Errors
/// When the Dockerfile cannot be read, and when it is wrong; a check answers that, too.
pub fn call(bridge: &dyn Bridge, options: &Options, call: Call, shown: &str) -> Result<Answer, FrontendError> {
    if call == Call::Describe {
        return Ok(describe::answer());
    }
    let entrypoint = read::read_dockerfile(bridge, options).map_err(|fault| FrontendError {
        kind: fault.kind,
        location: None,
        source_file: None,
    })?;
    let in_file = |fault: Fault| fault.in_file(&entrypoint.file);
    match call {
        Call::Check => check::answer(build::check(bridge, options, &entrypoint), &entrypoint, shown),
        Call::Targets => {
            let file = parse(&entrypoint).map_err(in_file)?;
            let default = file.target(None).map_err(|error| in_file(error.into()))?;
            Ok(targets::answer(&file, default, &entrypoint))
        }
        Call::Outline | Call::Describe => {
            let file = parse(&entrypoint).map_err(in_file)?;
            let host = bridge.build_platform();
            let target = options.platforms.first();
            let plan = Plan::new(&file, options, &host, target, &mut Report::silent()).map_err(in_file)?;
            Ok(outline::answer(&file, &plan, options, &entrypoint))
        }
    }
}

fn parse(entrypoint: &read::Entrypoint) -> Result<Dockerfile, Fault> {
    Dockerfile::from_bytes(&entrypoint.bytes).map_err(|error| {
        let lines = error.lines;
        Fault { kind: Box::new(error.into()), lines }
    })
}

/// `{"ranges":[{"start":{"line":1},"end":{"line":2}}]}`
fn location(lines: LineRange) -> Json {
    let place = |line: u32| Json::Object(vec![("line", Json::Number(line))]);
    let range = vec![("start", place(lines.first)), ("end", place(lines.last.max(lines.first)))];
    Json::Object(vec![("ranges", Json::List(vec![Json::Object(range)]))])
}

/// Standard base64 with padding.
fn base64(bytes: &[u8]) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_the_standard_says() {
        let words = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
        assert_eq!(words, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
