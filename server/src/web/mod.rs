//! What browsers may ask for: the page, and gRPC-web calls of our services.
//!
//! A browser runs the scripts of many sites, and some of them would like to use a server on the
//! person's own machine. So a request that a browser can make is answered only if
//!
//! * it names a host that is ours ([`hosts`]): otherwise a site could let its own name resolve to
//!   this machine, and its scripts would count as the page;
//! * it comes from the page itself, or from an origin that the operator named ([`origins`]).
//!
//! gRPC over HTTP/2 is not concerned: without encryption, browsers speak HTTP/1.1 alone, and a
//! proxy that speaks HTTP/2 to them asks first whether a script of another site may call.

use std::net::SocketAddr;
use std::str::FromStr;

use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::shorten;

mod hosts;
pub use hosts::HostName;
pub(crate) use hosts::Hosts;

mod origins;
pub use origins::Origin;
pub(crate) use origins::add_cors;
use origins::preflight;

mod files;
pub(crate) use files::prepare;

mod gate;
pub(crate) use gate::{GateLayer, Noted, text};

/// The package whose services browsers may call.
const OURS: &str = "/ddpm.v1.";

/// How gRPC-web calls name their type.
pub(crate) const GRPC_WEB: HeaderValue = HeaderValue::from_static("application/grpc-web+proto");

/// What a browser may do here.
#[derive(Debug, Clone)]
pub(crate) struct WebRules {
    /// The names under which the server is known.
    pub(crate) hosts: Hosts,
    /// Origins, other than the page's, whose scripts may call.
    pub(crate) origins: Vec<Origin>,
}

/// What a request is.
#[derive(Debug, Clone)]
pub(crate) enum Visit {
    /// A gRPC call.
    Grpc,
    /// What a browser may send.
    Browser {
        /// The origin of the script that asks, if it is another than the page's and may read the
        /// answer.
        origin: Option<HeaderValue>,
        /// What it asks for.
        ask: Ask,
    },
}

/// What a browser asks for.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// A gRPC-web call.
    Call,
    /// A gRPC-web call that is refused.
    RefusedCall(Refusal),
    /// Whether a script of its origin may call.
    Preflight,
    /// A file of the page, or what is a mistake.
    File,
    /// Anything that is refused.
    Refused(Refusal),
}

/// Why a browser gets nothing.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    /// Of an answer that is no call's.
    pub(crate) status: StatusCode,
    code: Code,
    /// Stable, as in `google.rpc.ErrorInfo`.
    reason: &'static str,
    pub(crate) sentence: String,
}

impl Refusal {
    fn new(status: StatusCode, code: Code, reason: &'static str, sentence: String) -> Self {
        Self { status, code, reason, sentence }
    }

    fn misdirected(host: Option<&str>) -> Self {
        let (status, sentence) = match host {
            None => (
                StatusCode::BAD_REQUEST,
                "the request names no host, or several: send one Host header".into(),
            ),
            Some(host) => (
                StatusCode::MISDIRECTED_REQUEST,
                format!(
                    "this server is not known as {:?}: use the address that it listens on, or \
                     start it with --allow-host {}",
                    shorten(host),
                    shorten(hosts::without_port(host)),
                ),
            ),
        };
        Self::new(status, Code::PermissionDenied, "UNKNOWN_HOST", sentence)
    }

    fn foreign(origin: &HeaderValue) -> Self {
        let text = shorten(&String::from_utf8_lossy(origin.as_bytes()));
        let remedy = match Origin::from_str(&text) {
            Ok(_) => format!(": if they should, start it with --cors-origin {text}"),
            Err(_) => String::new(),
        };
        let sentence = format!("scripts of {text:?} may not call this server{remedy}");
        Self::new(StatusCode::FORBIDDEN, Code::PermissionDenied, "FOREIGN_ORIGIN", sentence)
    }

    fn not_over_web() -> Self {
        let sentence = "only the services of ddpm.v1 can be called over gRPC-web: call this one \
                        with a gRPC client";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, Code::Unimplemented, "NOT_OVER_WEB", sentence.into())
    }

    fn needs_http_2() -> Self {
        let sentence = "gRPC needs HTTP/2: call with a gRPC client, or send \
                        application/grpc-web+proto";
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        Self::new(status, Code::Unimplemented, "NEEDS_HTTP_2", sentence.into())
    }

    /// Returns the status of a call.
    pub(crate) fn to_status(&self) -> Status {
        let details = ErrorDetails::with_error_info(self.reason, "ddpm", []);
        Status::with_error_details(self.code, &*self.sentence, details)
    }
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
        let is_call = kind == Media::GrpcWeb && is_method(request);
        let refused = |origin, refusal| {
            let ask = if is_call { Ask::RefusedCall(refusal) } else { Ask::Refused(refusal) };
            Visit::Browser { origin, ask }
        };
        let host = host(request);
        if !host.is_some_and(|host| self.hosts.are_ours(host, local)) {
            return refused(None, Refusal::misdirected(host));
        }
        let origin = request.headers().get(header::ORIGIN);
        let origin = origin.filter(|origin| !origins::is_of_host(origin, host.unwrap_or("")));
        if let Some(foreign) = origin
            && !self.origins.iter().any(|known| known.is(foreign))
        {
            return refused(None, Refusal::foreign(foreign));
        }
        let ask = match (origin, kind) {
            (Some(_), _) if asks_for_permission(request) => Ask::Preflight,
            (_, Media::GrpcWeb) if is_call && !request.uri().path().starts_with(OURS) => {
                return refused(origin.cloned(), Refusal::not_over_web());
            }
            (_, Media::GrpcWeb) if is_call => Ask::Call,
            (_, Media::Grpc) => return refused(origin.cloned(), Refusal::needs_http_2()),
            (_, Media::GrpcWeb | Media::Other) => Ask::File,
        };
        Visit::Browser { origin: origin.cloned(), ask }
    }
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
        match essence.to_ascii_lowercase().as_str() {
            "application/grpc" | "application/grpc+proto" => Self::Grpc,
            "application/grpc-web" | "application/grpc-web+proto" => Self::GrpcWeb,
            _ => Self::Other,
        }
    }
}

/// Returns the host that a request names, with its port if it has one; `None` if it names none,
/// or several.
fn host<B>(request: &Request<B>) -> Option<&str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host.to_str().ok()?),
        (None, _) => None,
        (Some(_), Some(_)) => return None,
    };
    let host = request.uri().authority().map(Authority::as_str).or(named)?;
    let authority = Authority::from_str(host).ok()?;
    let has_port = hosts::without_port(host) != host;
    let sound = !host.contains('@') && (!has_port || authority.port_u16().is_some());
    sound.then_some(host)
}

fn is_method<B>(request: &Request<B>) -> bool {
    let parts = request.uri().path().split('/');
    request.method() == Method::POST && parts.filter(|part| !part.is_empty()).count() == 2
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
        WebRules { hosts: Hosts::new(vec!["denoise.example".parse().unwrap()], false), origins }
    }

    /// Says what a request over HTTP/1.1 to 127.0.0.1:50051 is, in short.
    fn visit(method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let local = "127.0.0.1:50051".parse().ok();
        let Visit::Browser { origin, ask } = rules().visit(&request.body(()).unwrap(), local)
        else {
            return "grpc".into();
        };
        let what = match ask {
            Ask::Call => "call".into(),
            Ask::RefusedCall(refusal) => format!("refused call: {}", refusal.reason),
            Ask::Preflight => "preflight".into(),
            Ask::File => "file".into(),
            Ask::Refused(refusal) => refusal.status.as_str().to_owned(),
        };
        match origin {
            None => what,
            Some(origin) => format!("{what} from {}", origin.to_str().unwrap()),
        }
    }

    const CALL: &str = "/ddpm.v1.ModelService/ListModels";
    const HOST: (&str, &str) = ("host", "127.0.0.1:50051");
    const WEB: (&str, &str) = ("content-type", "application/grpc-web+proto");

    #[test]
    fn the_page_and_its_calls_are_taken_from_hosts_that_are_ours() {
        assert_eq!(visit("GET", "/", &[HOST]), "file");
        assert_eq!(visit("POST", CALL, &[HOST, WEB]), "call");
        let spelled = ("content-type", "Application/gRPC-Web; charset=utf-8");
        assert_eq!(visit("POST", CALL, &[HOST, spelled]), "call");
        assert_eq!(visit("POST", CALL, &[("host", "Denoise.Example:443"), WEB]), "call");
        for host in ["evil.example:50051", "localhost.evil.example"] {
            assert_eq!(visit("GET", "/", &[("host", host)]), "421", "{host}");
            assert_eq!(visit("POST", CALL, &[("host", host), WEB]), "refused call: UNKNOWN_HOST");
        }
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(visit("GET", "/", &[]), "400");
        assert_eq!(visit("GET", "/", &[HOST, ("host", "evil.example")]), "400");
        for host in ["localhost:evil.example", "[[::1", "me@localhost", "local host"] {
            assert_eq!(visit("GET", "/", &[("host", host)]), "400", "{host}");
        }
        assert_eq!(visit("GET", "http://127.0.0.1:50051/", &[HOST]), "file");
        assert_eq!(visit("GET", "http://evil.example/", &[HOST]), "421");
    }

    #[test]
    fn scripts_of_other_sites_are_refused_unless_their_origin_was_named() {
        let same = ("origin", "http://127.0.0.1:50051");
        assert_eq!(visit("POST", CALL, &[HOST, WEB, same]), "call");
        for evil in ["http://evil.example", "null", "http://127.0.0.1:8080", "file://"] {
            let evil = ("origin", evil);
            assert_eq!(visit("POST", CALL, &[HOST, WEB, evil]), "refused call: FOREIGN_ORIGIN");
            assert_eq!(visit("GET", "/", &[HOST, evil]), "403", "{evil:?}");
        }
        let named = ("origin", "http://other.example");
        assert_eq!(visit("POST", CALL, &[HOST, WEB, named]), "call from http://other.example");
        let asks = ("access-control-request-method", "POST");
        let answer = visit("OPTIONS", CALL, &[HOST, named, asks]);
        assert_eq!(answer, "preflight from http://other.example");
        assert_eq!(visit("OPTIONS", CALL, &[HOST, named]), "file from http://other.example");
        let evil = ("origin", "http://evil.example");
        assert_eq!(visit("OPTIONS", CALL, &[HOST, evil, asks]), "403");
        let json = ("content-type", "application/grpc");
        assert_eq!(visit("POST", CALL, &[HOST, named, json]), "415 from http://other.example");
    }

    #[test]
    fn a_refusal_names_a_remedy_that_can_be_taken() {
        let advice = |origin| Refusal::foreign(&HeaderValue::from_static(origin)).sentence;
        assert!(advice("http://evil.example").contains("--cors-origin http://evil.example"));
        assert!(!advice("null").contains("--cors-origin"), "{}", advice("null"));
        let status = Refusal::misdirected(Some("a.example:1")).to_status();
        assert!(status.message().ends_with("--allow-host a.example"), "{status}");
        assert_eq!(status.get_details_error_info().unwrap().reason, "UNKNOWN_HOST");
    }

    #[test]
    fn only_methods_of_our_services_are_called_over_grpc_web() {
        for path in ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/X"] {
            assert_eq!(visit("POST", path, &[HOST, WEB]), "refused call: NOT_OVER_WEB", "{path}");
        }
        assert_eq!(visit("GET", CALL, &[HOST, WEB]), "file");
        assert_eq!(visit("POST", "/ddpm.v1.X", &[HOST, WEB]), "file");
        let text = ("content-type", "application/grpc-web-text+proto");
        assert_eq!(visit("POST", CALL, &[HOST, text]), "file");
    }

    #[test]
    fn grpc_over_http_2_is_not_concerned_and_over_http_1_refused() {
        let grpc = ("content-type", "application/grpc");
        assert_eq!(visit("POST", CALL, &[HOST, grpc]), "415");
        let request = Request::builder().version(Version::HTTP_2).uri(CALL);
        let request = request.header("content-type", "application/grpc+proto").body(()).unwrap();
        assert!(matches!(rules().visit(&request, None), Visit::Grpc));
    }
}
