//! In: the lines of COPY and ADD. Out: sources, inline files, destination and flags. Never: a look at what a source is (path, URL, git).

use super::{Line, argument_list};
use crate::error::ParseErrorKind;
use crate::flags::Kind;
use crate::heredoc;
use crate::instruction::{Add, Copy, InlineFile, SourcesAndDest};

const COPY_FLAGS: [(&str, Kind); 6] = [
    ("chown", Kind::Text),
    ("from", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("exclude", Kind::List),
    ("parents", Kind::Bool),
];

const ADD_FLAGS: [(&str, Kind); 7] = [
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("keep-git-dir", Kind::Bool),
    ("checksum", Kind::Text),
    ("unpack", Kind::Bool),
    ("exclude", Kind::List),
];

pub(super) fn parse_copy(line: &Line<'_>) -> Result<Copy, ParseErrorKind> {
    let args = arguments(line)?;
    let flags = line.flags(&COPY_FLAGS)?;
    Ok(Copy {
        paths: sources_and_dest(line, args)?,
        from: flags.text("from"),
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.bool("link").unwrap_or(false),
        parents: flags.bool("parents").unwrap_or(false),
        exclude: flags.list("exclude"),
    })
}

pub(super) fn parse_add(line: &Line<'_>) -> Result<Add, ParseErrorKind> {
    let args = arguments(line)?;
    let flags = line.flags(&ADD_FLAGS)?;
    Ok(Add {
        paths: sources_and_dest(line, args)?,
        chown: flags.text("chown"),
        chmod: flags.text("chmod"),
        link: flags.bool("link").unwrap_or(false),
        exclude: flags.list("exclude"),
        keep_git_dir: flags.bool("keep-git-dir"),
        checksum: flags.text("checksum"),
        unpack: flags.bool("unpack"),
    })
}

fn arguments(line: &Line<'_>) -> Result<Vec<String>, ParseErrorKind> {
    let args = argument_list(line.parts.rest)?;
    if args.len() < 2 {
        return Err(ParseErrorKind::NoDestination(line.name));
    }
    Ok(args)
}

fn sources_and_dest(line: &Line<'_>, mut args: Vec<String>) -> Result<SourcesAndDest, ParseErrorKind> {
    let dest = args.pop().unwrap_or_default();
    if heredoc::parse_word(&dest).is_some() {
        return Err(ParseErrorKind::HeredocAsDestination(line.name));
    }
    let mut sources = Vec::new();
    let mut files = Vec::new();
    for arg in args {
        match heredoc::parse_word(&arg) {
            None => sources.push(arg),
            Some(opened) => {
                let content = line.heredocs.iter().rev().find(|heredoc| heredoc.name == opened.name);
                let content =
                    content.map(|found| heredoc::Heredoc { strip_tabs: opened.strip_tabs, ..found.clone() }.text());
                files.push(InlineFile {
                    name: opened.name,
                    content: content.unwrap_or_default(),
                    expand: opened.expand,
                });
            }
        }
    }
    Ok(SourcesAndDest { sources, files, dest })
}
