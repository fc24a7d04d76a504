//! Whom work is accounted to: the address of the peer or, behind a trusted proxy, whom it names.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

/// Longest name that a proxy may give, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Whom work is accounted to. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Principal(Arc<str>);

impl Principal {
    /// Returns the principal of a peer: its IPv4 address, or the /64 of its IPv6 address, since
    /// one machine has that many to choose from.
    pub(crate) fn of_address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.to_string().into()),
            IpAddr::V6(address) => {
                let network = Ipv6Addr::from_bits(address.to_bits() >> 64 << 64);
                Self(format!("{network}/64").into())
            }
        }
    }

    /// Returns the principal that a proxy names, or `None` if this is no name.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.trim();
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            return Some(Self::of_address(address));
        }
        if let Ok(address) = name.parse::<SocketAddr>() {
            return Some(Self::of_address(address.ip()));
        }
        let fits = !name.is_empty() && name.len() <= MAX_NAME_BYTES;
        fits.then(|| Self(name.into()))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The proxies whose word on whom they speak for is taken.
#[derive(Debug, Clone)]
pub(crate) struct TrustedProxies {
    addresses: BTreeSet<IpAddr>,
    /// The header in which they name it.
    header: HeaderName,
}

impl TrustedProxies {
    /// Trusts peers with these addresses to name a principal in `header`.
    pub(crate) fn new(addresses: &[IpAddr], header: HeaderName) -> Self {
        let addresses = addresses.iter().map(IpAddr::to_canonical).collect();
        Self { addresses, header }
    }

    /// Returns whether the peer is one of them.
    pub(crate) fn contains(&self, peer: IpAddr) -> bool {
        self.addresses.contains(&peer.to_canonical())
    }

    /// Returns whom a trusted proxy speaks for: the last element of the header, which it wrote
    /// itself. What comes before may be a client's invention. Without a name, it is the proxy.
    pub(crate) fn principal(&self, proxy: IpAddr, headers: &HeaderMap) -> Principal {
        let last = headers.get_all(&self.header).iter().next_back();
        let name = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        name.and_then(Principal::of_name).unwrap_or_else(|| Principal::of_address(proxy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_address(text: &str) -> String {
        Principal::of_address(text.parse().unwrap()).to_string()
    }

    /// The principal that a trusted proxy at 10.0.0.1 names in these lines of a header.
    fn named(lines: &[&str]) -> String {
        let proxies = TrustedProxies::new(
            &["10.0.0.1".parse().unwrap()],
            HeaderName::from_static("x-forwarded-for"),
        );
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        proxies.principal("10.0.0.1".parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn addresses_of_one_machine_are_one_principal() {
        assert_eq!(of_address("192.0.2.7"), "192.0.2.7");
        assert_eq!(of_address("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(of_address("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(of_address("2001:db8:1:2::9"), "2001:db8:1:2::/64");
        assert_ne!(of_address("2001:db8:1:3::9"), "2001:db8:1:2::/64");
    }

    #[test]
    fn the_last_element_of_the_header_counts() {
        assert_eq!(named(&["198.51.100.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(named(&["192.0.2.7", "team-a"]), "team-a");
        assert_eq!(named(&["192.0.2.7:4711"]), "192.0.2.7");
        assert_eq!(named(&["[2001:db8::1]"]), "2001:db8::/64");
    }

    #[test]
    fn a_proxy_that_names_nobody_is_the_principal() {
        assert_eq!(named(&[]), "10.0.0.1");
        assert_eq!(named(&["team-a, "]), "10.0.0.1");
        assert_eq!(named(&[&"a".repeat(128)]), "a".repeat(128));
        assert_eq!(named(&[&"a".repeat(129)]), "10.0.0.1");
    }

    #[test]
    fn only_listed_peers_are_proxies() {
        let header = HeaderName::from_static("x-forwarded-for");
        let proxies = TrustedProxies::new(&["10.0.0.1".parse().unwrap()], header);
        assert!(proxies.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!proxies.contains("10.0.0.2".parse().unwrap()));
    }
}
