//! In: `10.0.0.0/8`. Out: whether an address lies in it. Never: a host name.

use std::net::IpAddr;
use std::str::FromStr;

/// A range of addresses in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

/// The text is no address range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotANetwork;

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, bits) = text.split_once('/').ok_or(NotANetwork)?;
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotANetwork);
        }
        let prefix_bits: u32 = bits.parse().map_err(|_| NotANetwork)?;
        let bits_max = if address.is_ipv4() { 32 } else { 128 };
        if prefix_bits > bits_max {
            return Err(NotANetwork);
        }
        Ok(Self { address, prefix_bits })
    }
}

impl Network {
    /// Whether the address lies in the range. An IPv4 address written as IPv6 counts as IPv4.
    pub(crate) fn contains(&self, address: &IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(one)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix_bits).unwrap_or(0);
                net.to_bits() & mask == one.to_bits() & mask
            }
            (IpAddr::V6(net), IpAddr::V6(one)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix_bits).unwrap_or(0);
                net.to_bits() & mask == one.to_bits() & mask
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_should() {
        let rows = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("192.168.1.7/32", "192.168.1.7", true),
            ("192.168.1.7/32", "192.168.1.8", false),
            ("fd00::/8", "fd12::1", true),
            ("::/0", "fd12::1", true),
            ("fd00::/8", "10.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
        ];
        for (range, address, inside) in rows {
            assert_eq!(
                range.parse::<Network>().unwrap().contains(&address.parse().unwrap()),
                inside,
                "{range} {address}"
            );
        }
        for bad in ["10.0.0.0", "10.0.0.0/33", "a/8", "10.0.0.0/", "10.0.0.0/+8", "fd00::/129"] {
            assert_eq!(bad.parse::<Network>(), Err(NotANetwork), "{bad}");
        }
    }
}
