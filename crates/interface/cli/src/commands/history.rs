//! In: `history NAME`. Out: the steps an image was made by. Never: a layer read.

use crossdock_image::{ImageError, LayerId, Layers};
use crossdock_oci::{ImageConfig, Platform, Timestamp};
use serde_json::{Value, json};

use super::table::{ago, ellipsis, formatted, size};
use super::{engine, images};
use crate::args::images::HistoryArgs;
use crate::error::{CliError, result};
use crossdock_gotemplate::docker_table;

/// Columns of a step that is shown short.
const STEP_WIDTH: usize = 45;
const HEADINGS: [(&str, &str); 5] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// `history`
pub fn run(args: &HistoryArgs) -> Result<(), CliError> {
    let engine = engine()?;
    let kept = engine.images();
    let image = kept.find(&args.name)?;
    let platform = args.platform.as_deref().map(str::parse::<Platform>).transpose()?;
    let chosen = images::platform_of(&kept, &image, platform.as_ref())?;
    let raw = kept.document("image config", &chosen.manifest.view.config, &args.name)?;
    let config = ImageConfig::parse(raw).map_err(|source| ImageError::Document {
        subject: "image config",
        digest: chosen.manifest.view.config.digest,
        source,
    })?;
    let layers = Layers::new(engine.store());
    let human = args.human;
    let mut rows = Vec::new();
    let mut at = 0;
    for step in &config.view.history {
        let mut bytes = 0;
        if !step.empty_layer {
            let diff = config.view.rootfs.diff_ids.get(at);
            let row = diff.and_then(|diff| layers.get(&LayerId::of_diff(*diff)).ok().flatten());
            let blob = chosen.manifest.view.layers.get(at).map_or(0, |layer| layer.size);
            bytes = row.map(|row| row.uncompressed_size).filter(|size| *size > 0).unwrap_or(blob);
            at += 1;
        }
        rows.push(row(step, bytes, human, args.no_trunc));
    }
    rows.reverse();
    let id = images::short(&image.row.target.digest.to_string(), args.no_trunc);
    if let Some(first) = rows.first_mut() {
        first["ID"] = Value::from(id);
    }
    print(args, &rows)
}

fn print(args: &HistoryArgs, rows: &[Value]) -> Result<(), CliError> {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    if args.quiet {
        rows.iter().for_each(|row| result(&text(row, "ID")));
        return Ok(());
    }
    if args.format != "table" && !args.format.is_empty() {
        formatted(&args.format, &HEADINGS, rows)?.iter().for_each(|line| result(line));
        return Ok(());
    }
    let since = if !args.human { "CreatedAt" } else { "CreatedSince" };
    let heading = if since == "CreatedAt" { "CREATED AT" } else { "CREATED" };
    let mut lines = vec![["IMAGE", heading, "CREATED BY", "SIZE", "COMMENT"].map(str::to_owned).to_vec()];
    for row in rows {
        lines.push(["ID", since, "CreatedBy", "Size", "Comment"].iter().map(|field| text(row, field)).collect());
    }
    docker_table(&lines).iter().for_each(|line| result(line));
    Ok(())
}

fn row(step: &crossdock_oci::config::History, bytes: u64, human: bool, whole: bool) -> Value {
    let created = step.created.unwrap_or(Timestamp::from_seconds(0));
    let by = step.created_by.replace('\t', " ");
    let by = if whole { by } else { ellipsis(&by, STEP_WIDTH) };
    let age = Timestamp::now().seconds().saturating_sub(created.seconds());
    // Whole seconds, as Docker's interface hands them out.
    let at = Timestamp::from_seconds(created.seconds()).to_string();
    json!({
        "ID": "<missing>",
        "CreatedSince": if !human { at.clone() } else if created.seconds() == 0 { "N/A".to_owned() } else { ago(age) },
        "CreatedAt": at,
        "CreatedBy": by,
        "Size": if human { size(bytes) } else { bytes.to_string() },
        "Comment": step.comment,
    })
}
