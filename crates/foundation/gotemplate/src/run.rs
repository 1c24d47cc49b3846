//! In: the tree of a template and a value. Out: text. Never: more steps or bytes than the limits.

use crate::Options;
use crate::data::{Data, Unset};
use crate::error::TemplateError;
use crate::functions;
use crate::lex::line_of;
use crate::parse::{Arg, ArgKind, Branch, Command, Node, Pipe, Span};
use crate::print::text;

/// Steps a template may take; a page of a list takes some hundred.
const MAX_STEPS: usize = 2_000_000;
/// Bytes a template may print.
const MAX_OUTPUT: usize = 64 << 20;

/// Carries out a template.
pub fn run(source: &str, nodes: &[Node], data: &Data, options: &Options) -> Result<String, TemplateError> {
    let mut machine =
        Machine { source, options, variables: vec![("$".to_owned(), data.clone())], out: String::new(), steps: 0 };
    machine.list(nodes, data)?;
    Ok(machine.out)
}

struct Machine<'t> {
    source: &'t str,
    options: &'t Options,
    variables: Vec<(String, Data)>,
    out: String,
    steps: usize,
}

#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl Machine<'_> {
    fn wrong<T>(&self, span: Span, what: impl Into<String>) -> Result<T, TemplateError> {
        let line_start = self.source[..span.at].rfind('\n').map_or(0, |at| at + 1);
        Err(TemplateError::Run {
            line: line_of(self.source, span.at),
            column: span.at - line_start,
            context: self.source[span.start..span.end].to_owned(),
            what: what.into(),
        })
    }

    fn step(&mut self, span: Span) -> Result<(), TemplateError> {
        self.steps += 1;
        if self.steps > MAX_STEPS || self.out.len() > MAX_OUTPUT {
            return self.wrong(
                span,
                format!("the template takes more than {MAX_STEPS} steps or makes more than {MAX_OUTPUT} bytes"),
            );
        }
        Ok(())
    }

    fn list(&mut self, nodes: &[Node], dot: &Data) -> Result<Flow, TemplateError> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.declares.is_empty() {
                        match value {
                            Data::Nil => self.out.push_str("<no value>"),
                            value => self.out.push_str(&text(&value)),
                        }
                    }
                }
                Node::Branch { kind, pipe, then, other } => {
                    let known = self.variables.len();
                    let flow = self.branch(*kind, pipe, then, other, dot)?;
                    self.variables.truncate(known);
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        kind: Branch,
        pipe: &Pipe,
        then: &[Node],
        other: &[Node],
        dot: &Data,
    ) -> Result<Flow, TemplateError> {
        if kind == Branch::Range {
            return self.range(pipe, then, other, dot);
        }
        let value = self.pipe(pipe, dot)?;
        match (value.is_empty(), kind) {
            (true, _) => self.list(other, dot),
            (false, Branch::With) => self.list(then, &value),
            (false, _) => self.list(then, dot),
        }
    }

    fn range(&mut self, pipe: &Pipe, then: &[Node], other: &[Node], dot: &Data) -> Result<Flow, TemplateError> {
        let value = self.only_value(pipe, dot)?;
        let items: Box<dyn Iterator<Item = (Data, Data)>> = match value {
            Data::Nil | Data::Unset(Unset::List | Unset::Map) => Box::new(std::iter::empty()),
            Data::List(items) => {
                Box::new(items.into_iter().enumerate().map(|(at, item)| (Data::Int(at as i128), item)))
            }
            Data::Map(entries) | Data::Texts(entries) => {
                Box::new(entries.into_iter().map(|(key, item)| (Data::Text(key), item)))
            }
            Data::Int(count) => Box::new((0..count).map(|at| (Data::Int(at), Data::Int(at)))),
            other => return self.wrong(pipe.span, format!("range can't iterate over {}", text(&other))),
        };
        let mut any = false;
        let known = self.variables.len();
        for (key, item) in items {
            any = true;
            self.step(pipe.span)?;
            match pipe.declares.as_slice() {
                [] => {}
                [one] => self.set(one, item.clone(), pipe.assigns),
                [first, second, ..] => {
                    self.set(first, key, pipe.assigns);
                    self.set(second, item.clone(), pipe.assigns);
                }
            }
            let flow = self.list(then, &item)?;
            self.variables.truncate(known);
            if flow == Flow::Break {
                break;
            }
        }
        if any { Ok(Flow::On) } else { self.list(other, dot) }
    }

    fn set(&mut self, name: &str, value: Data, assigns: bool) {
        if assigns && let Some(known) = self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            known.1 = value;
            return;
        }
        self.variables.push((name.to_owned(), value));
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Data) -> Result<Data, TemplateError> {
        let value = self.only_value(pipe, dot)?;
        for name in &pipe.declares {
            self.set(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn only_value(&mut self, pipe: &Pipe, dot: &Data) -> Result<Data, TemplateError> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        Ok(value.unwrap_or(Data::Nil))
    }

    fn command(&mut self, command: &Command, dot: &Data, piped: Option<Data>) -> Result<Data, TemplateError> {
        self.step(command.span)?;
        let Some(first) = command.args.first() else { return Ok(Data::Nil) };
        if let ArgKind::Function(name) = first.kind {
            return self.call(name, command, dot, piped);
        }
        if let (ArgKind::Field(_), [_, word], None) = (&first.kind, &command.args[..], &piped)
            && let method @ Data::Lookup { .. } = self.operand(first, dot)?
            && let Data::Text(word) = self.operand(word, dot)?
        {
            return Ok(method.answer(&word).map_or(Data::Nil, Data::Text));
        }
        if command.args.len() > 1 || piped.is_some() {
            let what = match &first.kind {
                ArgKind::Field(path) => {
                    format!(
                        "{} has arguments but cannot be invoked as function",
                        path.last().map_or("", String::as_str)
                    )
                }
                _ => format!("can't give argument to non-function {}", &self.source[first.span.start..first.span.end]),
            };
            return self.wrong(first.span, what);
        }
        if matches!(first.kind, ArgKind::Nil) {
            return self.wrong(first.span, "nil is not a command");
        }
        self.operand(first, dot)
    }

    fn call(
        &mut self,
        name: &'static str,
        command: &Command,
        dot: &Data,
        piped: Option<Data>,
    ) -> Result<Data, TemplateError> {
        let mut values = Vec::new();
        for arg in &command.args[1..] {
            let value = self.operand(arg, dot)?;
            // `and` and `or` stop at the first value that decides.
            let decides = matches!((name, value.is_empty()), ("and", true) | ("or", false));
            values.push(value);
            if decides {
                return Ok(values.pop().unwrap_or(Data::Nil));
            }
        }
        values.extend(piped);
        if let Some(problem) = functions::arity(name, values.len()) {
            return self.wrong(command.args[0].span, problem);
        }
        match functions::call(name, &values, self.options) {
            Ok(value) => Ok(value),
            Err(what) => {
                self.wrong(Span { at: command.span.start, ..command.span }, format!("error calling {name}: {what}"))
            }
        }
    }

    fn operand(&mut self, arg: &Arg, dot: &Data) -> Result<Data, TemplateError> {
        Ok(match &arg.kind {
            ArgKind::Dot => dot.clone(),
            ArgKind::Nil => Data::Nil,
            ArgKind::Bool(value) => Data::Bool(*value),
            ArgKind::Int(value) => Data::Int(*value),
            ArgKind::Float(value) => Data::Float(*value),
            ArgKind::Text(text) => Data::Text(text.clone()),
            ArgKind::Field(path) => self.fields(dot, path, arg.span)?.clone(),
            ArgKind::Variable(name, path) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                match known {
                    Some((_, value)) => self.fields(value, path, arg.span)?.clone(),
                    None => return self.wrong(arg.span, format!("undefined variable: {name}")),
                }
            }
            ArgKind::Function(name) => {
                let command =
                    Command { args: vec![Arg { kind: ArgKind::Function(name), span: arg.span }], span: arg.span };
                self.call(name, &command, dot, None)?
            }
            ArgKind::Pipe(pipe, path) => {
                let value = self.pipe(pipe, dot)?;
                self.fields(&value, path, arg.span)?.clone()
            }
        })
    }

    fn fields<'d>(&self, from: &'d Data, path: &[String], span: Span) -> Result<&'d Data, TemplateError> {
        const NOTHING: &Data = &Data::Nil;
        let mut at = from;
        for name in path {
            at = match at {
                Data::Map(entries) | Data::Texts(entries) => match entries.get(name) {
                    Some(value) => value,
                    None if self.options.missing_key_is_error => {
                        return self.wrong(span, format!("map has no entry for key {name:?}"));
                    }
                    None => return Ok(NOTHING),
                },
                Data::Struct { type_name, .. } => match at.field(name) {
                    Some(value) => value,
                    None => return self.wrong(span, format!("can't evaluate field {name} in type {type_name}")),
                },
                Data::Unset(Unset::Map) if self.options.missing_key_is_error => {
                    return self.wrong(span, format!("map has no entry for key {name:?}"));
                }
                Data::Unset(Unset::Map) => return Ok(NOTHING),
                Data::Nil | Data::Unset(Unset::Pointer) => {
                    return self.wrong(span, format!("nil pointer evaluating interface {{}}.{name}"));
                }
                other => return self.wrong(span, format!("can't evaluate field {name} in type {}", other.type_name())),
            };
        }
        Ok(at)
    }
}
