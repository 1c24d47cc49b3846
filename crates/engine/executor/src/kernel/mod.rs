//! In: what the safe libraries do not offer. Out: small, safe functions around single kernel calls. Never: a decision; those are made above.
//!
//! This folder is the only place of the crate with `unsafe`. Its calls are for the keeper and what it forks, which are single-threaded;
//! [`process::fork`] refuses to work anywhere else.

pub(crate) mod filter;
pub(crate) mod loopback;
pub(crate) mod mount;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod trace;

/// The result of a raw call: -1 means that errno says why.
fn checked(result: libc::c_long) -> std::io::Result<libc::c_long> {
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
