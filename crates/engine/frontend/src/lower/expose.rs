//! In: `[ip:][host:]port[-port][/proto]`. Out: `port/proto`, one for each port. Never: a port beyond 65535, a host port kept.

use crate::error::ErrorKind;

/// A port specification taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ports {
    /// `8080/tcp`, in order.
    pub(super) ports: Vec<String>,
    /// An address or host port was given.
    pub(super) has_host: bool,
    /// The protocol has upper-case letters.
    pub(super) has_upper_case: bool,
}

/// Reads one specification.
pub(super) fn parse(written: &str) -> Result<Ports, ErrorKind> {
    let bad = ErrorKind::Port;
    let mut parts = written.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let (host, ip) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    if port.is_empty() {
        return Err(bad(format!("invalid port: {written:?}: no port specified")));
    }
    let lower = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_lowercase() };
    if !matches!(lower.as_str(), "tcp" | "udp" | "sctp") {
        return Err(bad(format!("invalid port: {written:?}: invalid proto: {protocol}")));
    }
    let address = ip.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(ip);
    if !ip.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        return Err(bad(format!("invalid IP address: {ip}")));
    }
    let (first, last) = range(port).ok_or_else(|| bad(format!("invalid containerPort: {port}")))?;
    if !host.is_empty() {
        let (host_first, host_last) = range(host).ok_or_else(|| bad(format!("invalid hostPort: {host}")))?;
        if last - first != host_last - host_first && last != first {
            return Err(bad(format!("invalid ranges specified for container and host Ports: {port} and {host}")));
        }
    }
    Ok(Ports {
        ports: (first..=last).map(|number| format!("{number}/{lower}")).collect(),
        has_host: !ip.is_empty() || !host.is_empty(),
        has_upper_case: protocol != protocol.to_lowercase(),
    })
}

/// `80` or `80-90`.
fn range(text: &str) -> Option<(u16, u16)> {
    let number = |text: &str| if text.starts_with('+') { None } else { text.parse::<u16>().ok() };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specifications() {
        let ports = |text: &str| parse(text).map(|ports| ports.ports.join(" ")).map_err(|error| error.to_string());
        assert_eq!(ports("80").unwrap(), "80/tcp");
        assert_eq!(ports("80/UDP").unwrap(), "80/udp");
        assert_eq!(ports("7000-7002/sctp").unwrap(), "7000/sctp 7001/sctp 7002/sctp");
        assert_eq!(ports("127.0.0.1:8080:80").unwrap(), "80/tcp");
        assert_eq!(ports("[::1]:8080:80").unwrap(), "80/tcp");
        assert!(parse("8080:80").unwrap().has_host && parse("1/TCP").unwrap().has_upper_case);
        for (bad, reason) in [
            ("", "no port specified"),
            ("80/x", "invalid proto: x"),
            ("99999", "invalid containerPort"),
            ("9-1", "invalid"),
            ("x:80", "invalid hostPort: x"),
            ("1.2.3:1:2", "invalid IP address"),
            ("1-2:3-5", "invalid ranges"),
            ("a", "invalid"),
        ] {
            assert!(ports(bad).unwrap_err().contains(reason), "{bad}");
        }
    }
}
