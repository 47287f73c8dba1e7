//! Which addresses may be called: those of the public internet. A name is resolved here, and what was found is what is
//! connected to, so that it cannot lead elsewhere a moment later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names to addresses that may be called.
pub(super) struct Resolver {
    pub(super) allows_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allows_private = self.allows_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| allows_private || is_public(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err("no address that may be called".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Names that always lead to this machine or its network (RFC 6761, RFC 6762).
pub(super) fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let is_below = |suffix: &str| name == suffix || name.ends_with(&format!(".{suffix}"));
    ["localhost", "local", "internal"].into_iter().any(is_below)
}

/// Whether an address is one of the public internet
/// (<https://www.iana.org/assignments/iana-ipv4-special-registry>, <https://www.iana.org/assignments/iana-ipv6-special-registry>).
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_protocol = a == 192 && b == 0 && c == 0;
    let is_relay = a == 192 && b == 88 && c == 99;
    // Azure's channel to its host, reached from inside a machine only.
    let is_host_channel = ip.octets() == [168, 63, 129, 16];
    let is_benchmark = a == 198 && (b == 18 || b == 19);
    let is_special = ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || ip.is_multicast();
    !(a == 0
        || a >= 240
        || is_shared
        || is_protocol
        || is_relay
        || is_benchmark
        || is_special
        || is_host_channel)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let parts = ip.segments();
    let embedded = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // IPv4 inside IPv6: mapped, translated (NAT64), 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            embedded(high, low)
        }
        [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, benchmarks, ORCHID, documentation.
        [0x2001, 0 | 2, ..] | [0x2001, 0x10..=0x2f, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => {
            false
        }
        // Only 2000::/3 is given out as global unicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}
