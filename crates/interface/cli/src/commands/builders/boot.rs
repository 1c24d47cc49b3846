//! In: `--bootstrap`. Out: the step that boots a builder, which for the embedded engine is done at once. Never: a daemon started.

use std::io::IsTerminal as _;

use crossdock_builders::world::World;
use crossdock_builders::{BuildersError, Driver, Resolved};

use crate::error::{CliError, say};

const STEP: &str = "[internal] booting buildkit";
const WAITING: &str = "[internal] waiting for connection";
const NOTHING_TO_DO: &str = "the embedded engine needs no booting";
/// Columns of a terminal that does not say.
const COLUMNS: u16 = 80;

/// Boots a builder, on standard error.
///
/// # Errors
/// When its daemon does not answer, or would have to be started in a container or a cluster.
pub fn boot(world: &World<'_>, resolved: &Resolved) -> Result<(), CliError> {
    match &resolved.driver {
        Driver::Docker => Ok(()),
        Driver::Embedded => {
            booted(STEP, NOTHING_TO_DO);
            Ok(())
        }
        Driver::DockerContainer => {
            let note = resolved.ready(world)?;
            booted(STEP, NOTHING_TO_DO);
            // Said at its making, too; whoever boots it later may not have seen that.
            note.iter().for_each(|note| say(note));
            Ok(())
        }
        Driver::Remote => connect(world, resolved),
        Driver::Kubernetes | Driver::Other(_) => Ok(resolved.ready(world).map(drop)?),
    }
}

/// Every node of a remote builder must answer; one that does needs no words.
fn connect(world: &World<'_>, resolved: &Resolved) -> Result<(), CliError> {
    for node in &resolved.nodes {
        if let Err(reason) = world.engines.daemon(&node.endpoint) {
            say(&format!("#1 {WAITING}\n#1 ERROR: {reason}"));
            let (name, node) = (resolved.name.clone(), node.name.clone());
            return Err(BuildersError::Boot { name, node, reason }.into());
        }
    }
    Ok(())
}

/// A step that was done at once, as the screens of builds show it.
fn booted(step: &str, line: &str) {
    if !std::io::stderr().is_terminal() {
        say(&format!("#1 {step}\n#1 {line} done\n#1 DONE 0.0s"));
        return;
    }
    let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(COLUMNS, |size| size.ws_col);
    let width = usize::from(if columns == 0 { COLUMNS } else { columns }) - 5;
    say("[+] Building 0.0s (1/1) FINISHED");
    for text in [format!(" => {step}"), format!(" => => {line}")] {
        say(&format!("{text:<width$} 0.0s"));
    }
}
