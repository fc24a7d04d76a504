//! What browsers may ask for: the page, and gRPC-web calls of our services.
//!
//! A browser runs the scripts of many sites, and some of them would like to use a server on the
//! person's own machine. So a request that a browser can make is answered only if
//!
//! * it names a host that is ours ([`hosts`]): otherwise a site could let its own name resolve to
//!   this machine, and its scripts would count as the page;
//! * it comes from the page itself, or from an origin that the operator named ([`origins`]).
//!
//! gRPC over HTTP/2 is not concerned: no browser can make such a call.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Method, Request, Version, header};

use crate::error::shorten;

mod hosts;
pub(crate) use hosts::Hosts;

mod origins;
pub use origins::Origin;
pub(crate) use origins::add_cors;
use origins::preflight;

mod files;

mod gate;
pub(crate) use gate::{GateLayer, refusal};

/// The package whose services browsers may call.
const OURS: &str = "/ddpm.v1.";

/// What a browser may do here.
#[derive(Debug, Clone)]
pub(crate) struct WebRules {
    /// The names under which the server is known.
    pub(crate) hosts: Hosts,
    /// Origins, other than the page's, whose scripts may call.
    pub(crate) origins: Vec<Origin>,
}

/// What a request is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Visit {
    /// A gRPC call.
    Grpc,
    /// A gRPC-web call; from a script of this origin, unless it is the page's or no browser's.
    GrpcWeb(Option<HeaderValue>),
    /// A browser asks whether a script of this origin may call.
    Preflight(HeaderValue),
    /// It asks for a file of the page, or is a mistake.
    Plain,
    /// It is answered with this status, and a sentence.
    Refused(u16, String),
}

impl WebRules {
    /// Says what a request is.
    ///
    /// * `local`: the address of ours that the peer connected to.
    pub(crate) fn visit<B>(&self, request: &Request<B>, local: Option<SocketAddr>) -> Visit {
        let kind = Media::of(request.headers());
        if request.version() == Version::HTTP_2 && kind == Media::Grpc {
            return Visit::Grpc;
        }
        let host = host(request);
        if !host.is_some_and(|host| self.hosts.are_ours(host, local)) {
            return Visit::Refused(421, misdirected(host));
        }
        let origin = request.headers().get(header::ORIGIN);
        let foreign = origin.filter(|origin| !origins::is_of_host(origin, host.unwrap_or("")));
        if let Some(origin) = foreign
            && !self.origins.iter().any(|known| known.is(origin))
        {
            return Visit::Refused(403, foreign_origin(origin));
        }
        match (foreign, kind) {
            (Some(origin), _) if asks_for_permission(request) => Visit::Preflight(origin.clone()),
            (_, Media::GrpcWeb) if request.uri().path().starts_with(OURS) => {
                Visit::GrpcWeb(foreign.cloned())
            }
            (_, Media::GrpcWeb) => Visit::Refused(415, NOT_OVER_WEB.into()),
            (_, Media::Grpc) => Visit::Refused(415, NEEDS_HTTP_2.into()),
            (_, Media::Other) => Visit::Plain,
        }
    }
}

const NOT_OVER_WEB: &str =
    "only the services of ddpm.v1 can be called over gRPC-web: call this one with a gRPC client\n";

const NEEDS_HTTP_2: &str =
    "gRPC needs HTTP/2: call with a gRPC client, or send application/grpc-web+proto\n";

fn misdirected(host: Option<&str>) -> String {
    match host {
        None => "the request names no host\n".into(),
        Some(host) => format!(
            "this server is not known as {:?}: use the address that it listens on, or start it \
             with --allow-host {}\n",
            shorten(host),
            shorten(hosts::without_port(host)),
        ),
    }
}

fn foreign_origin(origin: &HeaderValue) -> String {
    let origin = shorten(&String::from_utf8_lossy(origin.as_bytes()));
    format!(
        "scripts of {origin:?} may not call this server: if they should, start it with \
         --cors-origin {origin}\n"
    )
}

/// What the body of a request claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    Grpc,
    GrpcWeb,
    Other,
}

impl Media {
    fn of(headers: &HeaderMap) -> Self {
        let found = headers.get(header::CONTENT_TYPE).and_then(|found| found.to_str().ok());
        let essence = found.unwrap_or("").split(';').next().unwrap_or("").trim();
        let lower = essence.to_ascii_lowercase();
        match lower.as_str() {
            "application/grpc" | "application/grpc+proto" => Self::Grpc,
            "application/grpc-web"
            | "application/grpc-web+proto"
            | "application/grpc-web-text"
            | "application/grpc-web-text+proto" => Self::GrpcWeb,
            _ => Self::Other,
        }
    }
}

/// The host that a request names, with its port if it has one.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    authority.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

fn asks_for_permission<B>(request: &Request<B>) -> bool {
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    request.method() == Method::OPTIONS && asks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> WebRules {
        let origins = vec!["http://other.example".parse().unwrap()];
        WebRules { hosts: Hosts::new(&["denoise.example".into()], false), origins }
    }

    /// Says what a request over HTTP/1.1 to 127.0.0.1:50051 is.
    fn visit(method: &str, path: &str, headers: &[(&str, &str)]) -> Visit {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let local = "127.0.0.1:50051".parse().ok();
        rules().visit(&request.body(()).unwrap(), local)
    }

    fn status(visit: &Visit) -> u16 {
        match visit {
            Visit::Refused(status, _) => *status,
            other => panic!("{other:?}"),
        }
    }

    const CALL: &str = "/ddpm.v1.ModelService/ListModels";
    const HOST: (&str, &str) = ("host", "127.0.0.1:50051");
    const WEB: (&str, &str) = ("content-type", "application/grpc-web+proto");

    #[test]
    fn the_page_and_its_calls_are_taken_from_hosts_that_are_ours() {
        assert_eq!(visit("GET", "/", &[HOST]), Visit::Plain);
        assert_eq!(visit("POST", CALL, &[HOST, WEB]), Visit::GrpcWeb(None));
        let named = ("host", "Denoise.Example:443");
        assert_eq!(visit("POST", CALL, &[named, WEB]), Visit::GrpcWeb(None));
        assert_eq!(status(&visit("GET", "/", &[("host", "evil.example:50051")])), 421);
        assert_eq!(status(&visit("POST", CALL, &[("host", "evil.example"), WEB])), 421);
        assert_eq!(status(&visit("GET", "/", &[])), 421);
    }

    #[test]
    fn scripts_of_other_sites_are_refused_unless_their_origin_was_named() {
        let origin = |origin| ("origin", origin);
        let same = origin("http://127.0.0.1:50051");
        assert_eq!(visit("POST", CALL, &[HOST, WEB, same]), Visit::GrpcWeb(None));
        for evil in ["http://evil.example", "null", "http://127.0.0.1:8080", "file://"] {
            assert_eq!(status(&visit("POST", CALL, &[HOST, WEB, origin(evil)])), 403, "{evil}");
            assert_eq!(status(&visit("GET", "/", &[HOST, origin(evil)])), 403, "{evil}");
        }
        let other = HeaderValue::from_static("http://other.example");
        let named = origin("http://other.example");
        assert_eq!(visit("POST", CALL, &[HOST, WEB, named]), Visit::GrpcWeb(Some(other.clone())));
        let asks = ("access-control-request-method", "POST");
        assert_eq!(visit("OPTIONS", CALL, &[HOST, named, asks]), Visit::Preflight(other));
        let evil = origin("http://evil.example");
        assert_eq!(status(&visit("OPTIONS", CALL, &[HOST, evil, asks])), 403);
    }

    #[test]
    fn only_our_services_are_called_over_grpc_web() {
        for path in ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/X"] {
            assert_eq!(status(&visit("POST", path, &[HOST, WEB])), 415, "{path}");
        }
    }

    #[test]
    fn grpc_over_http_2_is_not_concerned_and_over_http_1_refused() {
        let grpc = ("content-type", "application/grpc");
        assert_eq!(status(&visit("POST", CALL, &[HOST, grpc])), 415);
        let request = Request::builder().version(Version::HTTP_2).uri(CALL);
        let request = request.header("content-type", "application/grpc+proto").body(()).unwrap();
        assert_eq!(rules().visit(&request, None), Visit::Grpc);
    }
}
