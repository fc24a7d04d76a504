//! The names under which the server is known.
//!
//! # Source
//!
//! The attack is called DNS rebinding: a site's own name first resolves to the site, then to an
//! address of this machine. The browser still names the site as the host.

use std::net::{IpAddr, SocketAddr};

/// The hosts that a request may name.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    /// Names that the operator gave, in lower case.
    named: Vec<String>,
    /// Whether the server listens on every address of the machine.
    any_address: bool,
}

impl Hosts {
    /// * `named`: names that the operator gave, without ports.
    /// * `any_address`: whether the server listens on every address of the machine, so that it
    ///   cannot know them all.
    pub(crate) fn new(named: &[String], any_address: bool) -> Self {
        let named = named.iter().map(|name| canonical(name)).collect();
        Self { named, any_address }
    }

    /// Returns whether a host, with or without a port, is ours: an address that is loopback or the
    /// one that the peer connected to, `localhost`, or a name that was given. Ports may differ,
    /// since they are forwarded.
    pub(super) fn are_ours(&self, host: &str, local: Option<SocketAddr>) -> bool {
        let name = canonical(without_port(host));
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            let address = address.to_canonical();
            let reached = local.is_some_and(|local| local.ip().to_canonical() == address);
            return address.is_loopback() || reached || self.any_address || self.names(&name);
        }
        // Browsers resolve these without asking anybody.
        name == "localhost" || name.ends_with(".localhost") || self.names(&name)
    }

    fn names(&self, name: &str) -> bool {
        self.named.iter().any(|known| known == name)
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

/// Names do not depend on case, nor on the dot of the root.
fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(hosts: &Hosts, host: &str) -> bool {
        hosts.are_ours(host, "192.168.1.5:50051".parse().ok())
    }

    #[test]
    fn loopback_and_the_address_of_the_connection_are_ours_whatever_the_port() {
        let hosts = Hosts::new(&[], false);
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
        let hosts = Hosts::new(&["Denoise.Example".into(), "10.0.0.7".into()], false);
        for host in ["denoise.example", "DENOISE.example.:443", "10.0.0.7:50051"] {
            assert!(ours(&hosts, host), "{host}");
        }
        assert!(!ours(&hosts, "x.denoise.example"));
    }

    #[test]
    fn any_address_but_no_name_is_ours_if_it_listens_on_all() {
        let hosts = Hosts::new(&[], true);
        assert!(ours(&hosts, "10.1.2.3:50051"));
        assert!(!ours(&hosts, "evil.example:50051"));
    }
}
