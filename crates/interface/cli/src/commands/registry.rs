//! In: `registry serve`. Out: the local store served over HTTP until somebody interrupts. Never: an address that was not asked for.

use std::net::SocketAddr;

use crossdock_registry::server::{Server, ServerOptions};

use crate::args::ServeArgs;
use crate::error::{CliError, say};

/// How often the end is looked for.
const POLL: std::time::Duration = std::time::Duration::from_millis(100);

/// `registry serve`
pub fn serve(args: &ServeArgs) -> Result<(), CliError> {
    let engine = super::engine()?;
    let address = args.addr.strip_prefix(':').map_or_else(|| args.addr.clone(), |port| format!("127.0.0.1:{port}"));
    let bad =
        |_| CliError::Usage(format!("--addr {:?}: expected an address and a port, as in 127.0.0.1:5000", args.addr));
    let address: SocketAddr = address.replace("localhost", "127.0.0.1").parse().map_err(bad)?;
    let server = Server::start(ServerOptions { address, ..ServerOptions::local(engine.store().clone()) })?;
    let lease = engine.store().lease()?;
    let published = engine.publish(&lease)?;
    for (name, error) in &published.left_out {
        say(&format!("WARNING: {name} is not served: {error}"));
    }
    say(&format!("{} images of the local store are served", published.names.len()));
    say(&format!("serving {} on http://{}", engine.store().root().display(), server.address()));
    while !engine.is_cancelled() {
        std::thread::sleep(POLL);
    }
    server.stop();
    Ok(())
}
