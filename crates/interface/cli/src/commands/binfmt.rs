//! In: `binfmt`. Out: which platforms run here and which emulators the kernel knows, as JSON. Never: a change of the host.

use crate::args::binfmt::BinfmtArgs;
use crate::error::{CliError, result};

/// `binfmt`
pub fn run(args: &BinfmtArgs) -> Result<(), CliError> {
    if !args.install.is_empty() || !args.uninstall.is_empty() {
        let flag = if !args.install.is_empty() { "binfmt --install" } else { "binfmt --uninstall" };
        let why = "builds need no registered emulators: a static QEMU in the emulator directory is enough";
        return Err(CliError::NotYet { flag: flag.to_owned(), why });
    }
    let status = crossdock_emulation::Host::probe().status();
    result(&serde_json::to_string_pretty(&status).expect("a status has only string keys"));
    Ok(())
}
