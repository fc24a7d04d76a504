//! The files of the page: what they are, what they may do, and that all of them are there.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::harness::{TestServer, root};
use crate::http1::get;

/// Most bytes of the page, compressed.
const MAX_BYTES: usize = 150_000;

/// Returns the path of each file of the page that browsers get, and where it lies.
fn files() -> Vec<(String, PathBuf)> {
    let page = root().join("server/page");
    let mut found = Vec::new();
    let mut folders = vec![page.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&page).unwrap().to_str().unwrap().to_owned();
            // What the bundle is made of.
            let source = ["vendor/entry.js", "vendor/package.json", "vendor/package-lock.json"];
            match name.as_str() {
                _ if path.is_dir() => folders.push(path),
                "index.html" => found.push(("/".into(), path)),
                name if source.contains(&name) => {}
                name => found.push((format!("/page/{name}"), path)),
            }
        }
    }
    assert!(found.len() > 5, "{found:?}");
    found
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().unwrap().to_str().unwrap() {
        "html" => "text/html",
        "css" => "text/css",
        "js" => "text/javascript",
        "svg" => "image/svg+xml",
        "txt" => "text/plain",
        other => panic!("no media type for .{other}"),
    }
}

#[test]
fn the_page_is_html_that_runs_only_its_own_scripts() {
    let server = TestServer::start(&[]);
    let page = get(&server, "/", &[]);
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let policy = page.header("content-security-policy").unwrap();
    let rules: BTreeSet<&str> = policy.split(';').map(str::trim).collect();
    let own = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    for rule in own.split("; ") {
        assert!(rules.contains(rule), "{rule} is not in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    let html = page.text().to_lowercase().replace("http://www.w3.org/2000/svg", "");
    assert!(html.starts_with("<!doctype html>"));
    // What the policy would forbid, and what would need a network.
    for forbidden in ["<script>", " style=", " onclick=", "http://", "https://", "javascript:"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn every_file_of_the_page_is_served_once_as_what_it_is() {
    let server = TestServer::start(&[]);
    for (path, file) in files() {
        let answer = get(&server, &path, &[]);
        assert_eq!(answer.status, 200, "{path}");
        let kind = answer.header("content-type").unwrap();
        assert!(kind.starts_with(media_type(&file)), "{path}: {kind}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(answer.body == fs::read(&file).unwrap(), "{path}");
        let tag = answer.header("etag").unwrap();
        let again = get(&server, &path, &[("if-none-match", tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(tag), "{path}");
        let other = get(&server, &path, &[("if-none-match", "\"another\"")]);
        assert_eq!(other.status, 200, "{path}");
    }
}

#[test]
fn what_the_page_imports_is_there() {
    let server = TestServer::start(&[]);
    let mut missing = Vec::new();
    for (path, file) in files() {
        if !matches!(media_type(&file), "text/html" | "text/javascript") {
            continue;
        }
        for named in named_files(&fs::read_to_string(&file).unwrap()) {
            let target = resolve(&path, &named);
            if get(&server, &target, &[]).status != 200 {
                missing.push(format!("{path} names {target}"));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Returns the relative addresses in quotation marks that follow `from`, `import`, `src=` and
/// `href=`.
fn named_files(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for keyword in ["from ", "import ", "import(", "src=", "href="] {
        for (at, _) in text.match_indices(keyword) {
            let rest = &text[at + keyword.len()..];
            let Some(quote) = rest.chars().next().filter(|it| "'\"".contains(*it)) else {
                continue;
            };
            let Some(name) = rest[1..].split(quote).next() else { continue };
            if name.starts_with(['.', '/']) {
                found.push(name.to_owned());
            }
        }
    }
    found
}

fn resolve(from: &str, name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn all_of_the_page_is_small_when_compressed() {
    let server = TestServer::start(&[]);
    let mut bytes = 0;
    let paths = files().into_iter().map(|(path, _)| path).chain(["/contract.binpb".to_owned()]);
    for path in paths {
        let plain = get(&server, &path, &[]).body;
        let answer = get(&server, &path, &[("accept-encoding", "gzip, deflate, br")]);
        bytes += answer.body.len();
        if answer.header("content-encoding") == Some("gzip") {
            let mut whole = Vec::new();
            GzDecoder::new(&answer.body[..]).read_to_end(&mut whole).unwrap();
            assert!(whole == plain, "{path}");
        } else {
            assert!(answer.body == plain, "{path}");
        }
    }
    assert!(bytes <= MAX_BYTES, "{bytes} bytes");
}
