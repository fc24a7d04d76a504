//! The page of a server cannot be used by the scripts of another site.

use crate::harness::TestServer;
use crate::http1::{LIST_MODELS, authority, call, get, send};

#[test]
fn a_host_that_is_not_ours_is_refused_in_a_sentence() {
    let server = TestServer::start(&["--allow-host", "denoise.example"]);
    let port = authority(&server).rsplit_once(':').unwrap().1;
    for host in ["127.0.0.1", "localhost", "[::1]", "denoise.example"] {
        let with_port = format!("{host}:{port}");
        for host in [host, &with_port] {
            assert_eq!(get(&server, "/", &[("host", host)]).status, 200, "{host}");
            let answer = call(&server, LIST_MODELS, &[("host", host)]);
            assert_eq!(answer.grpc_status(), Some(0), "{host}");
        }
    }
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "8.8.8.8", ""] {
        for answer in [
            get(&server, "/", &[("host", host)]),
            get(&server, "/page/style.css", &[("host", host)]),
            get(&server, "/contract.binpb", &[("host", host)]),
        ] {
            assert!(matches!(answer.status, 400 | 421), "{host}: {}", answer.status);
            assert!(!answer.text().contains("<!doctype"), "{host}");
        }
        let call = call(&server, LIST_MODELS, &[("host", host)]);
        // A call hears it in the form of calls.
        assert_eq!((call.grpc_status(), call.messages().len()), (Some(7), 0), "{host}");
        let sentence = get(&server, "/", &[("host", host)]).text();
        assert!(host.is_empty() || sentence.contains("--allow-host"), "{host}: {sentence}");
    }
    let (first, second) = (("host", "localhost"), ("host", "evil.example"));
    assert_eq!(get(&server, "/", &[first, second]).status, 400);
    assert_eq!(get(&server, "/", &[second, first]).status, 400);
}

#[test]
fn another_site_s_script_gets_nothing() {
    let server = TestServer::start(&[]);
    let port = authority(&server).rsplit_once(':').unwrap().1;
    let neighbour = format!("http://127.0.0.1:{}", port.parse::<u32>().unwrap() / 2);
    for origin in ["http://evil.example", "null", &neighbour, "https://localhost"] {
        let call = call(&server, LIST_MODELS, &[("origin", origin)]);
        assert_eq!((call.grpc_status(), call.messages().len()), (Some(7), 0), "{origin}");
        let asks = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-grpc-web"),
        ];
        let preflight = send(&server, "OPTIONS", LIST_MODELS, &asks, b"");
        for answer in [&call, &preflight, &get(&server, "/contract.binpb", &asks[..1])] {
            let told = answer.names().any(|name| name.starts_with("access-control"));
            assert!(!told, "{origin}: {answer:?}");
            assert!(answer.status == 403 || answer.grpc_status() == Some(7), "{answer:?}");
        }
    }
    // A form needs no permission, so its type must not be one of ours.
    let form = [("content-type", "text/plain"), ("origin", "http://evil.example")];
    assert!(send(&server, "POST", LIST_MODELS, &form, &[0; 5]).status >= 400);
    let own = format!("http://{}", authority(&server));
    assert_eq!(call(&server, LIST_MODELS, &[("origin", &own)]).grpc_status(), Some(0));
}

#[test]
fn an_origin_that_the_operator_named_may_call() {
    let other = "http://other.example";
    let server = TestServer::start(&["--cors-origin", other]);
    let asks = [
        ("origin", other),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,x-grpc-web,grpc-timeout"),
    ];
    let preflight = send(&server, "OPTIONS", LIST_MODELS, &asks, b"");
    assert!(matches!(preflight.status, 200 | 204), "{preflight:?}");
    assert_eq!(preflight.header("access-control-allow-origin"), Some(other));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));
    let headers = preflight.header("access-control-allow-headers").unwrap().to_lowercase();
    for name in ["content-type", "x-grpc-web", "grpc-timeout"] {
        assert!(headers.contains(name), "{headers}");
    }
    let answer = call(&server, LIST_MODELS, &[("origin", other)]);
    assert_eq!(answer.grpc_status(), Some(0));
    assert_eq!(answer.header("access-control-allow-origin"), Some(other));
    assert!(answer.header("vary").unwrap().to_lowercase().contains("origin"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    for origin in ["http://other.example.evil", "https://other.example", "http://other.example:81"]
    {
        let answer = call(&server, LIST_MODELS, &[("origin", origin)]);
        assert_eq!(answer.grpc_status(), Some(7), "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}");
    }
}
