//! In: the pieces of a template. Out: its tree. Never: a value.

use crate::error::TemplateError;
use crate::functions;
use crate::lex::{Kind, Token, lex, line_of};

/// A part of a template.
#[derive(Debug)]
pub enum Node {
    Text(String),
    /// Prints its value unless it sets a variable.
    Action(Pipe),
    Branch {
        kind: Branch,
        pipe: Pipe,
        then: Vec<Node>,
        other: Vec<Node>,
    },
    Break,
    Continue,
}

/// The actions with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Branch {
    If,
    With,
    Range,
}

/// `$x := a | b | c`
#[derive(Debug)]
pub struct Pipe {
    pub declares: Vec<String>,
    /// `=` instead of `:=`
    pub assigns: bool,
    pub commands: Vec<Command>,
    pub span: Span,
}

/// An operand, or a function with its arguments.
#[derive(Debug)]
pub struct Command {
    pub args: Vec<Arg>,
    pub span: Span,
}

/// An operand and where it stands.
#[derive(Debug)]
pub struct Arg {
    pub kind: ArgKind,
    pub span: Span,
}

/// What an operand is.
#[derive(Debug)]
pub enum ArgKind {
    Dot,
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Field(Vec<String>),
    Variable(String, Vec<String>),
    Function(&'static str),
    Pipe(Box<Pipe>, Vec<String>),
}

/// A place in the source: what errors show, and the position they give (Go's is not always the first byte).
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub at: usize,
}

impl Pipe {
    /// Is this `.name` and nothing else?
    pub fn is_field(&self, name: &str) -> bool {
        let [command] = self.commands.as_slice() else { return false };
        matches!(command.args.as_slice(), [Arg { kind: ArgKind::Field(path), .. }] if path.len() == 1 && path[0] == name)
    }
}

/// Is there an operand the test holds for?
pub fn any(nodes: &[Node], test: &dyn Fn(&Arg) -> bool) -> bool {
    fn in_pipe(pipe: &Pipe, test: &dyn Fn(&Arg) -> bool) -> bool {
        pipe.commands
            .iter()
            .flat_map(|command| &command.args)
            .any(|arg| test(arg) || matches!(&arg.kind, ArgKind::Pipe(inner, _) if in_pipe(inner, test)))
    }
    nodes.iter().any(|node| match node {
        Node::Action(pipe) => in_pipe(pipe, test),
        Node::Branch { pipe, then, other, .. } => in_pipe(pipe, test) || any(then, test) || any(other, test),
        Node::Text(_) | Node::Break | Node::Continue => false,
    })
}

/// Actions and parentheses inside of each other.
const MAX_DEPTH: usize = 100;

/// Reads a template.
pub fn parse(source: &str) -> Result<Vec<Node>, TemplateError> {
    let tokens = lex(source)?;
    let mut parser = Parser { source, tokens, at: 0, variables: vec!["$".to_owned()], depth: 0, ranges: 0 };
    let (nodes, end) = parser.list()?;
    match end {
        Ended::File => Ok(nodes),
        Ended::End => parser.wrong("unexpected {{end}}"),
        Ended::Else => parser.wrong("unexpected {{else}}"),
    }
}

#[derive(PartialEq, Eq)]
enum Ended {
    File,
    End,
    /// The parser stands behind the word `else`.
    Else,
}

struct Parser<'s> {
    source: &'s str,
    tokens: Vec<Token>,
    at: usize,
    variables: Vec<String>,
    depth: usize,
    ranges: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &Kind {
        self.tokens.get(self.at).map_or(&Kind::End, |token| &token.kind)
    }

    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.source.len(), |token| token.at)
    }

    fn end_of_last(&self) -> usize {
        self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).map_or(0, |token| token.end)
    }

    fn next(&mut self) -> Kind {
        let kind = self.peek().clone();
        self.at += 1;
        kind
    }

    fn skip_spaces(&mut self) {
        while *self.peek() == Kind::Space {
            self.at += 1;
        }
    }

    fn wrong<T>(&self, what: impl Into<String>) -> Result<T, TemplateError> {
        Err(TemplateError::Syntax { line: line_of(self.source, self.place()), what: what.into() })
    }

    /// The source of the next piece, for messages.
    fn shown(&self) -> String {
        self.tokens.get(self.at).map_or_else(String::new, |token| self.source[token.at..token.end].to_owned())
    }

    fn deeper(&mut self) -> Result<(), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return self.wrong(format!("more than {MAX_DEPTH} actions inside of each other"));
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(Vec<Node>, Ended), TemplateError> {
        let mut nodes = Vec::new();
        loop {
            match self.next() {
                Kind::Text(text) => nodes.push(Node::Text(text)),
                Kind::Open => {
                    self.skip_spaces();
                    let word = match self.peek() {
                        Kind::Word(word) => word.clone(),
                        _ => String::new(),
                    };
                    match word.as_str() {
                        "end" => {
                            self.at += 1;
                            self.close("end")?;
                            return Ok((nodes, Ended::End));
                        }
                        "else" => {
                            self.at += 1;
                            return Ok((nodes, Ended::Else));
                        }
                        word => nodes.push(self.action(word)?),
                    }
                }
                _ => {
                    self.at -= 1;
                    return Ok((nodes, Ended::File));
                }
            }
        }
    }

    fn close(&mut self, context: &str) -> Result<(), TemplateError> {
        self.skip_spaces();
        if *self.peek() != Kind::Close {
            return self.wrong(format!("unexpected {:?} in {context}", self.shown()));
        }
        self.at += 1;
        Ok(())
    }

    fn action(&mut self, word: &str) -> Result<Node, TemplateError> {
        let branch = match word {
            "if" => Branch::If,
            "with" => Branch::With,
            "range" => Branch::Range,
            "break" | "continue" => {
                if self.ranges == 0 {
                    return self.wrong(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                self.at += 1;
                self.close(word)?;
                return Ok(if word == "break" { Node::Break } else { Node::Continue });
            }
            "define" | "template" | "block" => {
                return self.wrong(format!("{{{{{word}}}}} is not available in this template"));
            }
            _ => {
                let pipe = self.pipe("command", false)?;
                self.close("command")?;
                return Ok(Node::Action(pipe));
            }
        };
        self.at += 1;
        self.branch(branch, word)
    }

    fn branch(&mut self, kind: Branch, word: &str) -> Result<Node, TemplateError> {
        self.deeper()?;
        let known = self.variables.len();
        let pipe = self.pipe(word, kind == Branch::Range)?;
        self.close(word)?;
        self.ranges += usize::from(kind == Branch::Range);
        let (then, end) = self.list()?;
        self.ranges -= usize::from(kind == Branch::Range);
        let other = match end {
            Ended::File => return self.wrong("unexpected EOF"),
            Ended::End => Vec::new(),
            Ended::Else => self.otherwise()?,
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(Node::Branch { kind, pipe, then, other })
    }

    /// Behind the word `else`: `}}` with a body, or `if …}}`, `with …}}` which share the `{{end}}`.
    fn otherwise(&mut self) -> Result<Vec<Node>, TemplateError> {
        self.skip_spaces();
        let chained = match self.peek() {
            Kind::Word(word) if word == "if" => Some((Branch::If, "if")),
            Kind::Word(word) if word == "with" => Some((Branch::With, "with")),
            _ => None,
        };
        if let Some((kind, word)) = chained {
            self.at += 1;
            return Ok(vec![self.branch(kind, word)?]);
        }
        self.close("else")?;
        let (nodes, end) = self.list()?;
        match end {
            Ended::End => Ok(nodes),
            Ended::Else => self.wrong("expected end; found {{else}}"),
            Ended::File => self.wrong("unexpected EOF"),
        }
    }

    fn pipe(&mut self, context: &str, is_range: bool) -> Result<Pipe, TemplateError> {
        self.deeper()?;
        self.skip_spaces();
        let start = self.place();
        let (declares, assigns) = self.declarations(is_range)?;
        let mut commands = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                Kind::Close | Kind::ParenClose | Kind::End => {
                    if commands.is_empty() {
                        return self.wrong(format!("missing value for {context}"));
                    }
                    break;
                }
                _ => commands.push(self.command(context)?),
            }
            self.skip_spaces();
            if *self.peek() == Kind::Pipe {
                self.at += 1;
                self.skip_spaces();
                if matches!(self.peek(), Kind::Close | Kind::ParenClose) {
                    return self.wrong(format!("missing value for {context}"));
                }
            }
        }
        self.check_order(&commands)?;
        if !assigns {
            self.variables.extend(declares.iter().cloned());
        }
        self.depth -= 1;
        let span = Span { start, end: self.end_of_last(), at: start };
        Ok(Pipe { declares, assigns, commands, span })
    }

    /// Values can only stand first in a pipeline.
    fn check_order(&self, commands: &[Command]) -> Result<(), TemplateError> {
        for (at, command) in commands.iter().enumerate().skip(1) {
            let value = command.args.first().is_some_and(|arg| {
                use ArgKind::{Bool, Dot, Float, Int, Nil, Text};
                matches!(arg.kind, Bool(_) | Dot | Nil | Int(_) | Float(_) | Text(_))
            });
            if value {
                return self.wrong(format!("non executable command in pipeline stage {}", at + 1));
            }
        }
        Ok(())
    }

    /// `$x :=`, `$x =`, `$i, $x :=`; nothing is taken when the variable is only used.
    fn declarations(&mut self, is_range: bool) -> Result<(Vec<String>, bool), TemplateError> {
        let begin = self.at;
        let mut names = Vec::new();
        while let Kind::Variable(name) = self.peek() {
            names.push(name.clone());
            self.at += 1;
            self.skip_spaces();
            match self.peek() {
                Kind::Declare | Kind::Assign => {
                    let assigns = *self.peek() == Kind::Assign;
                    self.at += 1;
                    if let Some(unknown) = names.iter().find(|name| assigns && !self.variables.contains(name)) {
                        return self.wrong(format!("undefined variable {unknown:?}"));
                    }
                    return Ok((names, assigns));
                }
                Kind::Comma if is_range && names.len() == 1 => {
                    self.at += 1;
                    self.skip_spaces();
                }
                Kind::Comma => return self.wrong("too many declarations in command"),
                _ => break,
            }
        }
        self.at = begin;
        Ok((Vec::new(), false))
    }

    fn command(&mut self, context: &str) -> Result<Command, TemplateError> {
        let start = self.place();
        let mut args = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                Kind::Pipe | Kind::Close | Kind::ParenClose | Kind::End => break,
                _ => args.push(self.operand(context)?),
            }
            match self.peek() {
                Kind::Space | Kind::Pipe | Kind::Close | Kind::ParenClose => {}
                Kind::End => return self.wrong("unclosed action"),
                _ => return self.wrong(format!("unexpected {:?} in operand", self.shown())),
            }
        }
        if args.is_empty() {
            return self.wrong("empty command");
        }
        let end = args.last().map_or(start, |arg: &Arg| arg.span.end);
        Ok(Command { args, span: Span { start, end, at: start } })
    }

    fn operand(&mut self, context: &str) -> Result<Arg, TemplateError> {
        let start = self.place();
        let kind = self.term(context)?;
        let mut at = start;
        let mut more = Vec::new();
        while let Kind::Field(name) = self.peek() {
            if more.is_empty() {
                at = self.place();
            }
            more.push(name.clone());
            self.at += 1;
        }
        let kind = match kind {
            kind if more.is_empty() => kind,
            ArgKind::Field(mut path) => {
                path.extend(more);
                ArgKind::Field(path)
            }
            ArgKind::Variable(name, _) => ArgKind::Variable(name, more),
            ArgKind::Pipe(pipe, _) => ArgKind::Pipe(pipe, more),
            _ => return self.wrong(format!("unexpected . after term {:?}", &self.source[start..self.end_of_last()])),
        };
        Ok(Arg { kind, span: Span { start, end: self.end_of_last(), at } })
    }

    fn term(&mut self, context: &str) -> Result<ArgKind, TemplateError> {
        let shown = self.shown();
        Ok(match self.next() {
            Kind::Dot => ArgKind::Dot,
            Kind::Field(name) => ArgKind::Field(vec![name]),
            Kind::Quoted(text) => ArgKind::Text(text),
            Kind::Int(int) => ArgKind::Int(int),
            Kind::Float(float) => ArgKind::Float(float),
            Kind::Variable(name) => {
                if !self.variables.contains(&name) {
                    self.at -= 1;
                    return self.wrong(format!("undefined variable {name:?}"));
                }
                ArgKind::Variable(name, Vec::new())
            }
            Kind::Word(word) => match word.as_str() {
                "true" => ArgKind::Bool(true),
                "false" => ArgKind::Bool(false),
                "nil" => ArgKind::Nil,
                word => match functions::known(word) {
                    Some(name) => ArgKind::Function(name),
                    None => {
                        self.at -= 1;
                        return self.wrong(format!("function {word:?} not defined"));
                    }
                },
            },
            Kind::ParenOpen => {
                let pipe = self.pipe("parenthesized pipeline", false)?;
                self.skip_spaces();
                if self.next() != Kind::ParenClose {
                    self.at -= 1;
                    return self.wrong("unclosed left paren");
                }
                ArgKind::Pipe(Box::new(pipe), Vec::new())
            }
            _ => {
                self.at -= 1;
                return self.wrong(format!("unexpected {shown:?} in {context}"));
            }
        })
    }
}
