//! Which addresses may be called for a person who names them: public ones, over http or https. What is inside our own network
//! is not theirs to reach through us.

use ipnet::IpNet;
use reqwest::Url;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long the name of a new hook may take to be looked up.
const LOOKED_UP: Duration = Duration::from_secs(3);

/// Where a call goes.
#[derive(Debug)]
pub struct Allowed {
    /// The name in the address.
    pub host: String,
    /// What it stands for, every one allowed.
    pub addresses: Vec<SocketAddr>,
}

/// Looks a name up; the error says why it is not called.
pub(super) async fn resolve(url: &Url, allowed: &[IpNet]) -> Result<Allowed, String> {
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() {
        return Err("only plain http and https addresses are called".to_owned());
    }
    let host = url.host_str().ok_or("the address has no host")?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((host.as_str(), port)).await.map_err(|why| format!("{host}: {why}"))?;
    let addresses: Vec<SocketAddr> = found.collect();
    if let Some(refused) = addresses.iter().find(|address| refused_address(address.ip(), allowed)) {
        return Err(private(&host, refused.ip()));
    }
    if addresses.is_empty() { Err(format!("{host} is no address")) } else { Ok(Allowed { host, addresses }) }
}

/// Why nobody is told at this address, as far as its name stands for something at this moment. What cannot be looked up now may be
/// later; each call looks again.
pub async fn refusal(url: &Url, allowed: &[IpNet]) -> Option<String> {
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::time::timeout(LOOKED_UP, tokio::net::lookup_host((host.as_str(), port))).await.ok()?.ok()?;
    let inside = found.map(|address| address.ip()).find(|ip| refused_address(*ip, allowed))?;
    Some(private(&host, inside))
}

/// What a name stands for inside is told to nobody outside.
fn private(host: &str, ip: IpAddr) -> String {
    tracing::info!(host, %ip, "not called: inside a private network");
    format!("{host} is inside a private network; web.hooks_may_call can allow it")
}

/// Whether an address is inside a private or special network (IANA's registries of special-purpose addresses).
pub fn refused_address(ip: IpAddr, allowed: &[IpNet]) -> bool {
    let ip = match ip {
        // A v4 address in the clothes of v6.
        IpAddr::V6(v6) => embedded(v6).unwrap_or(IpAddr::V6(v6)),
        v4 @ IpAddr::V4(_) => v4,
    };
    if allowed.iter().any(|network| network.contains(&ip)) {
        return false;
    }
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_documentation()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && (18..20).contains(&b))
        }
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            // Only 2000::/3 is public, without the documentation's 2001:db8::/32.
            (first & 0xe000) != 0x2000 || (first == 0x2001 && second == 0x0db8)
        }
    }
}

/// IPv4-mapped, NAT64 (`64:ff9b::/96`) and 6to4 (`2002::/16`) addresses lead to a v4 one.
fn embedded(ip: Ipv6Addr) -> Option<IpAddr> {
    let v4 = |high: u16, low: u16| {
        let [one, two] = high.to_be_bytes();
        let [three, four] = low.to_be_bytes();
        IpAddr::from([one, two, three, four])
    };
    match ip.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(v4(high, low))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::refused_address;

    #[test]
    fn only_public_addresses_are_called_unless_a_network_is_allowed() {
        let ip = |text: &str| text.parse().unwrap();
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
        ] {
            assert!(refused_address(ip(inside), &[]), "{inside}");
        }
        for outside in ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"] {
            assert!(!refused_address(ip(outside), &[]), "{outside}");
        }
        let allowed = ["127.0.0.0/8".parse().unwrap()];
        assert!(!refused_address(ip("127.0.0.1"), &allowed) && !refused_address(ip("::ffff:127.0.0.1"), &allowed));
        assert!(refused_address(ip("10.0.0.1"), &allowed));
    }
}
