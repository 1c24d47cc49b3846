//! In: values. Out: what Go's built-in functions and those of Docker's CLI make of them. Never: a place in the template.

use std::cmp::Ordering;

use crate::Options;
use crate::data::{Data, Unset};
use crate::json::to_json;
use crate::print::text;
use crate::printf::printf;

/// Every function with the number of its arguments, least and most.
const FUNCTIONS: [(&str, usize, usize); 25] = [
    ("and", 1, usize::MAX),
    ("or", 1, usize::MAX),
    ("not", 1, 1),
    ("len", 1, 1),
    ("index", 1, usize::MAX),
    ("slice", 1, 4),
    ("print", 0, usize::MAX),
    ("println", 0, usize::MAX),
    ("printf", 1, usize::MAX),
    ("eq", 1, usize::MAX),
    ("ne", 2, 2),
    ("lt", 2, 2),
    ("le", 2, 2),
    ("gt", 2, 2),
    ("ge", 2, 2),
    ("html", 0, usize::MAX),
    ("urlquery", 0, usize::MAX),
    ("json", 1, 1),
    ("split", 2, 2),
    ("join", 2, 2),
    ("title", 1, 1),
    ("lower", 1, 1),
    ("upper", 1, 1),
    ("pad", 3, 3),
    ("truncate", 2, 2),
];

/// The function of this name.
pub fn known(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().find(|(known, _, _)| *known == name).map(|(known, _, _)| *known)
}

/// What is wrong with this number of arguments.
pub fn arity(name: &str, got: usize) -> Option<String> {
    let (_, least, most) = FUNCTIONS.iter().find(|(known, _, _)| *known == name)?;
    if (*least..=*most).contains(&got) {
        return None;
    }
    let want = if *most == usize::MAX { format!("at least {least}") } else { least.to_string() };
    Some(format!("wrong number of args for {name}: want {want} got {got}"))
}

/// Calls a function whose number of arguments was checked. The error is the part behind `error calling NAME: `.
pub fn call(name: &str, args: &[Data], options: &Options) -> Result<Data, String> {
    Ok(match name {
        // The arguments before the last did not decide.
        "and" | "or" => args.last().cloned().unwrap_or(Data::Nil),
        "not" => Data::Bool(args[0].is_empty()),
        "len" => Data::Int(length(&args[0])?),
        "index" => index(&args[0], &args[1..])?,
        "slice" => slice(&args[0], &args[1..])?,
        "print" => Data::Text(print(args)),
        "println" => Data::Text(args.iter().map(text).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => Data::Text(printf(&string(&args[0])?, &args[1..])),
        "eq" => Data::Bool(equal(args)?),
        "ne" => Data::Bool(!equal(args)?),
        "lt" => Data::Bool(order(&args[0], &args[1])? == Ordering::Less),
        "le" => Data::Bool(order(&args[0], &args[1])? != Ordering::Greater),
        "gt" => Data::Bool(order(&args[0], &args[1])? == Ordering::Greater),
        "ge" => Data::Bool(order(&args[0], &args[1])? != Ordering::Less),
        "html" => Data::Text(html(&print(args))),
        "urlquery" => Data::Text(url_query(&print(args))),
        "json" => Data::Text(to_json(&args[0], options.json)),
        "split" => Data::List(split(&string(&args[0])?, &string(&args[1])?)),
        "join" => Data::Text(join(&args[0], &string(&args[1])?)?),
        "title" => Data::Text(title(&string(&args[0])?)),
        "lower" => Data::Text(string(&args[0])?.to_lowercase()),
        "upper" => Data::Text(string(&args[0])?.to_uppercase()),
        "pad" => Data::Text(pad(&string(&args[0])?, number(&args[1])?, number(&args[2])?)),
        "truncate" => {
            let source = string(&args[0])?;
            let most = usize::try_from(number(&args[1])?).unwrap_or(0);
            Data::Text(source.chars().take(most).collect())
        }
        other => return Err(format!("no function {other}")),
    })
}

fn string(data: &Data) -> Result<String, String> {
    match data {
        Data::Text(text) | Data::Shown { text, .. } => Ok(text.clone()),
        other => Err(format!("wrong type for value; expected string; got {}", other.type_name())),
    }
}

fn number(data: &Data) -> Result<i128, String> {
    match data {
        Data::Int(int) => Ok(*int),
        other => Err(format!("wrong type for value; expected int; got {}", other.type_name())),
    }
}

fn length(data: &Data) -> Result<i128, String> {
    Ok(match data {
        Data::Text(text) => text.len(),
        Data::List(items) => items.len(),
        Data::Map(entries) | Data::Texts(entries) => entries.len(),
        Data::Unset(Unset::List | Unset::Map) => 0,
        Data::Nil | Data::Unset(Unset::Pointer) => return Err("len of nil pointer".to_owned()),
        other => return Err(format!("len of type {}", other.type_name())),
    } as i128)
}

fn index(from: &Data, keys: &[Data]) -> Result<Data, String> {
    let mut at = from.clone();
    for key in keys {
        at = match (&at, key) {
            (Data::Map(entries), Data::Text(key)) => entries.get(key).cloned().unwrap_or(Data::Nil),
            (Data::Texts(entries), Data::Text(key)) => {
                entries.get(key).cloned().unwrap_or_else(|| Data::Text(String::new()))
            }
            (Data::Unset(Unset::Map), Data::Text(_)) => Data::Text(String::new()),
            (Data::Unset(Unset::List), Data::Int(place)) => return Err(format!("index out of range: {place}")),
            (Data::Map(_) | Data::Texts(_) | Data::Unset(Unset::Map), other) => {
                return Err(format!("value has type {}; should be string", other.type_name()));
            }
            (Data::List(items), Data::Int(place)) => match usize::try_from(*place).ok().and_then(|at| items.get(at)) {
                Some(item) => item.clone(),
                None => return Err(format!("index out of range: {place}")),
            },
            (Data::Text(text), Data::Int(place)) => {
                match usize::try_from(*place).ok().and_then(|at| text.as_bytes().get(at)) {
                    Some(byte) => Data::Int(i128::from(*byte)),
                    None => return Err(format!("index out of range: {place}")),
                }
            }
            (Data::List(_) | Data::Text(_) | Data::Unset(Unset::List), other) => {
                return Err(format!("cannot index slice/array with type {}", other.type_name()));
            }
            (Data::Unset(Unset::Pointer), _) => return Err("index of nil pointer".to_owned()),
            (Data::Nil, _) => return Err("index of untyped nil".to_owned()),
            (other, _) => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(at)
}

fn slice(from: &Data, ends: &[Data]) -> Result<Data, String> {
    let length = length(from).map_err(|_| format!("can't slice item of type {}", from.type_name()))?;
    let mut places = [0, length];
    for (at, end) in ends.iter().take(2).enumerate() {
        places[at] = number(end)?;
        if !(0..=length).contains(&places[at]) {
            return Err(format!("index out of range: {}", places[at]));
        }
    }
    if places[0] > places[1] {
        return Err(format!("invalid slice index: {} > {}", places[0], places[1]));
    }
    let (start, end) = (places[0] as usize, places[1] as usize);
    match from {
        Data::Text(text) => {
            let part = String::from_utf8_lossy(&text.as_bytes()[start..end]);
            Ok(Data::Text(part.into_owned()))
        }
        Data::List(items) => Ok(Data::List(items[start..end].to_vec())),
        Data::Unset(Unset::List) => Ok(from.clone()),
        other => Err(format!("can't slice item of type {}", other.type_name())),
    }
}

/// As Go's `Sprint`: blanks between two values of which neither is a string.
fn print(args: &[Data]) -> String {
    let mut out = String::new();
    for (at, arg) in args.iter().enumerate() {
        if at > 0 && !matches!(arg, Data::Text(_)) && !matches!(args[at - 1], Data::Text(_)) {
            out.push(' ');
        }
        out.push_str(&text(arg));
    }
    out
}

fn equal(args: &[Data]) -> Result<bool, String> {
    if args.len() < 2 {
        return Err("missing argument for comparison".to_owned());
    }
    for other in &args[1..] {
        let same = match (&args[0], other) {
            (Data::Nil | Data::Unset(Unset::Pointer), Data::Nil | Data::Unset(Unset::Pointer)) => true,
            (Data::Nil, _) | (_, Data::Nil) => false,
            (Data::Bool(one), Data::Bool(two)) => one == two,
            (Data::Text(one), Data::Text(two)) => one == two,
            (Data::Int(_) | Data::Float(_), Data::Int(_) | Data::Float(_)) => {
                order(&args[0], other)? == Ordering::Equal
            }
            (Data::List(_) | Data::Map(_) | Data::Texts(_) | Data::Unset(_) | Data::Struct { .. }, _) => {
                return Err(format!("non-comparable type {}: {}", text(&args[0]), args[0].type_name()));
            }
            _ => return Err(incompatible(&args[0], other)),
        };
        if same {
            return Ok(true);
        }
    }
    Ok(false)
}

fn order(one: &Data, two: &Data) -> Result<Ordering, String> {
    let float = |data: &Data| match data {
        Data::Int(int) => *int as f64,
        Data::Float(float) => *float,
        _ => 0.0,
    };
    match (one, two) {
        (Data::Int(one), Data::Int(two)) => Ok(one.cmp(two)),
        (Data::Text(one), Data::Text(two)) => Ok(one.cmp(two)),
        (Data::Int(_) | Data::Float(_), Data::Int(_) | Data::Float(_)) => {
            Ok(float(one).partial_cmp(&float(two)).unwrap_or(Ordering::Less))
        }
        (Data::Int(_) | Data::Float(_) | Data::Text(_), _) => Err(incompatible(one, two)),
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn incompatible(one: &Data, two: &Data) -> String {
    format!("incompatible types for comparison: {} and {}", one.type_name(), two.type_name())
}

fn split(source: &str, by: &str) -> Vec<Data> {
    if by.is_empty() {
        return source.chars().map(|letter| Data::Text(letter.to_string())).collect();
    }
    source.split(by).map(Data::from).collect()
}

fn join(items: &Data, by: &str) -> Result<String, String> {
    match items {
        Data::List(items) => Ok(items.iter().map(text).collect::<Vec<_>>().join(by)),
        Data::Nil | Data::Unset(Unset::List) => Ok(String::new()),
        other => Err(format!("wrong type for value; expected []string; got {}", other.type_name())),
    }
}

/// The first letter of each word in upper case, the rest as it is.
fn title(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut inside = false;
    for letter in source.chars() {
        if inside {
            out.push(letter);
        } else {
            out.extend(letter.to_uppercase());
        }
        inside = letter.is_alphanumeric() || letter == '_' || letter == '\'';
    }
    out
}

/// Nothing stays nothing.
fn pad(source: &str, before: i128, behind: i128) -> String {
    if source.is_empty() {
        return String::new();
    }
    let blanks = |count: i128| " ".repeat(usize::try_from(count.min(10_000)).unwrap_or(0));
    format!("{}{source}{}", blanks(before), blanks(behind))
}

fn html(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for letter in source.chars() {
        match letter {
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\0' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

fn url_query(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    for byte in source.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
