//! Check ExposeInvalidFormat, explained in docs/checks/expose-invalid-format.md. In: a port specification. Out: what is wrong with it. Never: where it stands.

use super::RuleRow;

/// The rule as lists and addresses show it.
pub(super) const ROW: RuleRow = RuleRow {
    name: "ExposeInvalidFormat",
    slug: "expose-invalid-format",
    description: "IP address and host-port mapping should not be used in EXPOSE instruction. This will become an error in a future release",
};

/// It names an address or a port of the host.
pub fn text(spec: &str) -> String {
    format!("EXPOSE instruction should not define an IP address or host-port mapping, found '{spec}'")
}
