//! The names under which the server is known.
//!
//! # Source
//!
//! The attack is called DNS rebinding: a site's own name first resolves to the site, then to an
//! address of this machine. The browser still names the site as the host.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::uri::Authority;

/// A name or an address, without a port, in the form in which two can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(String);

impl FromStr for HostName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "name a host as it stands in a browser's address, without scheme and port, such as \
             denoise.example, 10.0.0.7 or [fd00::7]"
                .to_owned()
        };
        // An address of IPv6 may stand without its brackets.
        let bare = text.parse::<IpAddr>().is_ok();
        let authority = Authority::from_str(text).ok().filter(|it| it.host() == text);
        if !bare && (authority.is_none() || without_port(text) != text) {
            return Err(wrong());
        }
        Ok(Self(canonical(text)))
    }
}

/// The hosts that a request may name.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// Those that the operator named.
    named: Vec<HostName>,
    /// Whether the server listens on every address of the machine.
    any_address: bool,
}

impl Hosts {
    /// * `named`: those that the operator named.
    /// * `any_address`: whether the server listens on every address of the machine, so that it
    ///   cannot know them all.
    pub(crate) fn new(named: Vec<HostName>, any_address: bool) -> Self {
        Self { named, any_address }
    }

    /// Returns whether a host, with or without a port, is ours: an address that is loopback or the
    /// one that the peer connected to, `localhost`, or a name that was given. Ports may differ,
    /// since they are forwarded.
    pub(super) fn are_ours(&self, host: &str, local: Option<SocketAddr>) -> bool {
        let name = canonical(without_port(host));
        if self.named.iter().any(|known| known.0 == name) {
            return true;
        }
        match name.parse::<IpAddr>() {
            Ok(address) => {
                let address = address.to_canonical();
                let reached = local.is_some_and(|local| local.ip().to_canonical() == address);
                address.is_loopback() || reached || self.any_address
            }
            // Nobody can register a name below it.
            Err(_) => name == "localhost" || name.ends_with(".localhost"),
        }
    }
}

/// Removes the port of a host.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of `[::1]` are no port's.
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

/// Names do not depend on case, nor on the dot of the root; addresses have many spellings.
fn canonical(name: &str) -> String {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<HostName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn ours(hosts: &Hosts, host: &str) -> bool {
        hosts.are_ours(host, "192.168.1.5:50051".parse().ok())
    }

    #[test]
    fn loopback_and_the_address_of_the_connection_are_ours_whatever_the_port() {
        let hosts = Hosts::new(vec![], false);
        for host in
            ["127.0.0.1:50051", "127.0.0.1", "[::1]:8080", "[::1]", "LocalHost:1", "192.168.1.5:9"]
        {
            assert!(ours(&hosts, host), "{host}");
        }
        for host in ["192.168.1.6:50051", "0.0.0.0:50051", "evil.example", "localhost.evil", ""] {
            assert!(!ours(&hosts, host), "{host}");
        }
    }

    #[test]
    fn names_that_the_operator_gave_are_ours() {
        let hosts = Hosts::new(named(&["Denoise.Example", "10.0.0.7", "fd00:0::7"]), false);
        for host in ["denoise.example", "DENOISE.example.:443", "10.0.0.7:50051", "[fd00::7]:1"] {
            assert!(ours(&hosts, host), "{host}");
        }
        assert!(!ours(&hosts, "x.denoise.example"));
    }

    #[test]
    fn any_address_but_no_name_is_ours_if_it_listens_on_all() {
        let hosts = Hosts::new(vec![], true);
        assert!(ours(&hosts, "10.1.2.3:50051"));
        assert!(!ours(&hosts, "evil.example:50051"));
    }

    #[test]
    fn what_is_no_host_is_said_with_an_example() {
        for bad in
            ["", "https://a.example", "a.example:443", "a example", "me@a.example", "/", "[::1]:1"]
        {
            let error = bad.parse::<HostName>().unwrap_err();
            assert!(error.contains("denoise.example"), "{bad:?}: {error}");
        }
    }
}
