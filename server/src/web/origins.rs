//! Whose scripts may call, and how a browser is told so.
//!
//! # Source
//!
//! WHATWG Fetch, section 3.3 (CORS), <https://fetch.spec.whatwg.org/#http-cors-protocol>.

use std::str::FromStr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tonic::body::Body;

/// The headers that a gRPC-web client sends.
const ALLOWED_HEADERS: &str = "content-type, x-grpc-web, x-user-agent, grpc-timeout";

/// The headers of an answer that a script may read.
const EXPOSED_HEADERS: &str = "grpc-status, grpc-message, grpc-status-details-bin";

/// Seconds for which a browser may remember a permission.
const MAX_AGE: &str = "7200";

/// An origin that the operator named, such as `https://studio.example`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    /// Whether this is what a browser sent.
    pub(super) fn is(&self, sent: &HeaderValue) -> bool {
        self.0 == sent
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            "name an origin as browsers do: scheme, host and port, without a path, such as \
             https://studio.example or http://localhost:8080"
                .to_owned()
        };
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let bare = uri.path_and_query().is_none_or(|rest| rest == "/") && !text.ends_with('/');
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        if !web || !bare || authority.is_none() {
            return Err(wrong());
        }
        // Browsers send lower case, and no port that the scheme implies.
        let lower = text.to_ascii_lowercase();
        let implied = if lower.starts_with("https:") { ":443" } else { ":80" };
        let sent = lower.strip_suffix(implied).unwrap_or(&lower);
        HeaderValue::from_str(sent).map(Self).map_err(|_| wrong())
    }
}

/// Returns whether an origin is the page's: that of the host that the request names.
pub(super) fn is_of_host(origin: &HeaderValue, host: &str) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    });
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
}

/// Tells a browser that a script of this origin may read the answer.
pub(crate) fn add_cors(headers: &mut HeaderMap, origin: &HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let exposed = HeaderValue::from_static(EXPOSED_HEADERS);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// Tells a browser what a script of an origin that may call may send. [`add_cors`] says whose.
pub(crate) fn preflight() -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(Bytes::new())));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_named_as_browsers_name_it() {
        for good in ["https://studio.example", "http://localhost:8080", "HTTP://A.example"] {
            assert!(good.parse::<Origin>().is_ok(), "{good}");
        }
        let origin: Origin = "HTTPS://Studio.example".parse().unwrap();
        assert!(origin.is(&HeaderValue::from_static("https://studio.example")));
        let implied: Origin = "https://studio.example:443".parse().unwrap();
        assert_eq!(implied, origin);
        let other: Origin = "http://studio.example:443".parse().unwrap();
        assert!(other.is(&HeaderValue::from_static("http://studio.example:443")));
        for bad in [
            "*",
            "null",
            "",
            "studio.example",
            "ftp://a.example",
            "http://a.example/page",
            "http://a.example/",
            "http://me@a.example",
            "http://",
        ] {
            let error = bad.parse::<Origin>().unwrap_err();
            assert!(error.contains("https://studio.example"), "{bad}: {error}");
        }
    }

    #[test]
    fn the_page_is_known_by_the_host_it_came_from() {
        let of = |origin, host| is_of_host(&HeaderValue::from_static(origin), host);
        assert!(of("http://127.0.0.1:50051", "127.0.0.1:50051"));
        assert!(of("https://Denoise.example", "denoise.example"));
        assert!(!of("http://127.0.0.1:50052", "127.0.0.1:50051"));
        assert!(!of("null", ""));
        assert!(!of("file://", ""));
    }

    #[test]
    fn a_permission_names_one_origin_and_what_it_may_send_and_read() {
        let origin = HeaderValue::from_static("http://other.example");
        let mut answer = preflight();
        add_cors(answer.headers_mut(), &origin);
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(answer.status(), 204);
        assert_eq!(header("access-control-allow-origin"), "http://other.example");
        assert_eq!(header("access-control-allow-methods"), "POST");
        assert!(header("access-control-allow-headers").contains("grpc-timeout"));
        assert!(header("access-control-expose-headers").contains("grpc-status-details-bin"));
        assert_eq!(header("vary"), "origin");
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
    }
}
