//! In: any text as the value of `RUN --mount`. Out: nothing. Never: a panic, a variable in `from`, a key that does not belong to the type.

use std::collections::BTreeMap;

use crossdock_dockerfile::{Command, Dockerfile, Expander, MountSpec, MountType};

/// Reads a mount alone and within its instruction.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    read(text);
    let Ok(file) = Dockerfile::parse(&format!("FROM a\nRUN --mount={text} x")) else { return };
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        if let Command::Run(run) = &instruction.command {
            run.mounts.iter().for_each(|mount| read(mount.text()));
        }
    }
}

fn read(text: &str) {
    let Ok(spec) = MountSpec::parse(text) else { return };
    assert!(!spec.from().trim_end_matches('$').contains('$'), "a variable in from: {text}");
    let variables = BTreeMap::from([("A".to_owned(), "a/../b".to_owned())]);
    let expander = Expander::new('\\');
    let Ok(mount) = spec.resolve(&mut |value| expander.word(value, &variables).map(|word| word.text)) else { return };
    let kind = mount.kind;
    assert!(mount.sharing.is_none() || kind == MountType::Cache, "sharing: {text}");
    assert!(mount.from.is_empty() || kind != MountType::Secret, "from: {text}");
    let has_owner = mount.mode.is_some() || mount.uid.is_some() || mount.gid.is_some();
    assert!(!has_owner || !matches!(kind, MountType::Bind | MountType::Tmpfs), "mode, uid or gid: {text}");
    assert!(mount.size_bytes >= 0, "size: {text}");
}
