//! In: `prune`, `check-store`. Out: a smaller store, or what is wrong with it. Never: a tagged image removed by either.

use std::io::{BufRead, IsTerminal, Write};

use crossdock_content::{Fault, GcOptions};

use super::table::size;
use crate::args::images::PruneArgs;
use crate::error::{CliError, result};

/// `prune [-a] [-f]`
pub fn prune(args: &PruneArgs) -> Result<(), CliError> {
    let what = if args.all { "all build cache" } else { "all dangling images and unreachable data" };
    if !args.force && !confirmed(what)? {
        return Ok(());
    }
    let engine = super::engine()?;
    let options = GcOptions { cache: args.all, dangling_images: true, ..GcOptions::default() };
    let report = engine.prune(&options)?;
    result(&format!("Removed: {} blobs, {} snapshots, {} records", report.blobs, report.snapshots, report.rows));
    result(&format!("Total:\t{}", size(report.blob_bytes)));
    Ok(())
}

/// Asks whether something may go.
pub fn confirmed(what: &str) -> Result<bool, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Usage("prune asks before it removes; give -f where nobody can answer".to_owned()));
    }
    let mut out = std::io::stdout();
    let failed = |source| CliError::File { action: "ask at", path: "the terminal".to_owned(), source };
    write!(out, "WARNING! This will remove {what}. Are you sure you want to continue? [y/N] ")
        .and_then(|()| out.flush())
        .map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// `check-store [--repair]`
pub fn check(repair: bool) -> Result<(), CliError> {
    let engine = super::engine()?;
    let report = engine.store().check()?;
    let lines = report.lines();
    for line in &lines {
        result(line);
    }
    if repair {
        for fault in &report.faults {
            if let Fault::BlobDamaged { digest, .. }
            | Fault::BlobSize { digest, .. }
            | Fault::BlobUnreadable { digest, .. } = fault
                && engine.store().discard_blob(*digest)?
            {
                result(&format!("dropped {digest}"));
            }
        }
        return Ok(());
    }
    if report.is_clean() { Ok(()) } else { Err(CliError::Damaged { count: report.faults.len() }) }
}
