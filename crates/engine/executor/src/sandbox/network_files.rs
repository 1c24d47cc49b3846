//! In: the step's network, host name and extra hosts; the host's resolv.conf. Out: the texts of the step's /etc/hosts and /etc/resolv.conf. Never: a name looked up.

use std::fmt::Write as _;

use crossdock_llb::Network;

/// Where a host with systemd-resolved keeps the servers behind its own stub.
const RESOLVED_FILE: &str = "/run/systemd/resolve/resolv.conf";

/// /etc/hosts as BuildKit writes it.
pub(super) fn hosts(hostname: &str, extra: &[(String, String)]) -> String {
    let mut text = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in extra {
        let _ = writeln!(text, "{address}\t{name}");
    }
    text
}

/// /etc/resolv.conf. A step in the host's network keeps the host's; one without network gets what BuildKit would give it.
pub(super) fn resolv_conf(network: Network) -> String {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let host = read("/etc/resolv.conf");
    match network {
        Network::Default | Network::Host => host,
        Network::None => {
            let servers = nameservers(&host);
            let behind_stub = if !servers.is_empty() && servers.iter().all(|server| server == "127.0.0.53") {
                read(RESOLVED_FILE)
            } else {
                host
            };
            without_loopback(&behind_stub)
        }
    }
}

fn nameservers(text: &str) -> Vec<String> {
    text.lines().filter_map(server_of).map(str::to_owned).collect()
}

fn server_of(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    (words.next() == Some("nameserver")).then(|| words.next()).flatten()
}

/// Loopback servers cannot be reached from another network namespace; with none left, public ones stand in.
fn without_loopback(text: &str) -> String {
    let is_loopback = |server: &str| server.starts_with("127.") || server == "::1";
    let mut kept: String = text
        .lines()
        .filter(|line| !server_of(line).is_some_and(is_loopback))
        .fold(String::new(), |text, line| text + line + "\n");
    if nameservers(&kept).is_empty() {
        kept.push_str("nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n");
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_read_as_buildkits() {
        let text = hosts("buildkitsandbox", &[("db".to_owned(), "10.0.0.2".to_owned())]);
        assert_eq!(
            text,
            "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.2\tdb\n"
        );
    }

    #[test]
    fn loopback_servers_go_and_public_ones_stand_in() {
        let text = "search a.example\nnameserver 127.0.0.1\nnameserver 10.0.0.1\noptions edns0\n";
        assert_eq!(without_loopback(text), "search a.example\nnameserver 10.0.0.1\noptions edns0\n");
        assert!(without_loopback("nameserver ::1\n").starts_with("nameserver 8.8.8.8\n"));
    }
}
