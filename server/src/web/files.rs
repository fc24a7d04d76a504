//! The files of the page, as they are in the binary.

use std::io::Write;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use prost::Message;
use prost_types::FileDescriptorSet;
use sha2::{Digest, Sha256};
use tonic::body::Body;

/// Scripts, styles and calls of the page itself; nothing inline, nothing from elsewhere, and no
/// other page may frame it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

/// Where the contract is.
const CONTRACT: &str = "/contract.binpb";

/// Lists files of `server/page`: the first is served at `/`, the others at `/page/…`.
macro_rules! page {
    ($index:literal, $($name:literal),+ $(,)?) => {
        &[
            ("/", $index, include_bytes!(concat!("../../page/", $index))),
            $((concat!("/page/", $name), $name, include_bytes!(concat!("../../page/", $name))),)+
        ]
    };
}

/// Path, name and content of each.
const PAGE: &[(&str, &str, &[u8])] = page![
    "index.html",
    "icon.svg",
    "style.css",
    "js/announce.js",
    "js/backoff.js",
    "js/base64.js",
    "js/classes.js",
    "js/compare.js",
    "js/contract.js",
    "js/controls.js",
    "js/density.js",
    "js/difference.js",
    "js/dom.js",
    "js/enlarged.js",
    "js/forward.js",
    "js/frames.js",
    "js/grid-canvas.js",
    "js/grid-view.js",
    "js/help.js",
    "js/link-reader.js",
    "js/link.js",
    "js/looks.js",
    "js/main.js",
    "js/mask.js",
    "js/noise-plot.js",
    "js/noise.js",
    "js/options.js",
    "js/pixels.js",
    "js/playhead.js",
    "js/points-view.js",
    "js/raster.js",
    "js/run.js",
    "js/saving.js",
    "js/scene.js",
    "js/schedule.js",
    "js/seed.js",
    "js/settings.js",
    "js/stage.js",
    "js/start.js",
    "js/status.js",
    "js/timeline.js",
    "js/upload.js",
    "js/violations.js",
    "js/watch.js",
    "js/wire.js",
    "js/words.js",
    "js/save/apng.js",
    "js/save/description.js",
    "js/save/download.js",
    "js/save/gif.js",
    "js/save/grid.js",
    "js/save/npy.js",
    "js/save/png.js",
    "vendor/LICENSES.txt",
    "vendor/connect.js",
];

/// A file as it is served.
struct File {
    path: &'static str,
    media_type: &'static str,
    /// A digest of the content, by which a browser knows that it has it.
    tag: String,
    plain: Bytes,
    gzip: Bytes,
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let page = PAGE.iter().map(|(path, name, content)| {
        File::new(path, media_type(name), Bytes::from_static(content))
    });
    page.chain([File::new(CONTRACT, "application/octet-stream", contract())]).collect()
});

impl File {
    fn new(path: &'static str, media_type: &'static str, plain: Bytes) -> Self {
        let digest = Sha256::digest(&plain);
        let tag = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let gzip = gzip(&plain).expect("memory takes every byte").into();
        Self { path, media_type, tag, plain, gzip }
    }

    /// Answers a request for the file.
    fn answer(&self, method: &Method, asked: &HeaderMap) -> Response<Body> {
        let zipped = accepts_gzip(asked) && self.gzip.len() < self.plain.len();
        let (content, ending) = if zipped { (&self.gzip, "-gzip") } else { (&self.plain, "") };
        let tag = format!("\"{}{ending}\"", self.tag);
        let known = is_known(asked, &tag);
        let content = if known || method == Method::HEAD { Bytes::new() } else { content.clone() };
        let mut answer = Response::new(Body::new(Full::new(content)));
        if known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = answer.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        set(header::CONTENT_TYPE, self.media_type);
        set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
        set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
        set(header::REFERRER_POLICY, "no-referrer");
        set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        // Ask each time: another version of the server may have another page.
        set(header::CACHE_CONTROL, "no-cache");
        set(header::VARY, "accept-encoding");
        if zipped {
            set(header::CONTENT_ENCODING, "gzip");
        }
        let tag = HeaderValue::from_str(&tag).expect("digits and quotes are text");
        headers.insert(header::ETAG, tag);
        answer
    }
}

/// Compresses the files, so that the first visitor need not wait for it.
pub(crate) fn prepare() {
    LazyLock::force(&FILES);
}

/// Answers a request for a file of the page; `None` if there is no such file, or it is no question
/// for one.
pub(super) fn find(request: &Request<Body>) -> Option<Response<Body>> {
    let (method, path) = (request.method(), request.uri().path());
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let file = FILES.iter().find(|file| file.path == path)?;
    Some(file.answer(method, request.headers()))
}

/// The messages of the contract and of the details of errors, without comments, as a
/// `google.protobuf.FileDescriptorSet`: the page makes its client of it.
fn contract() -> Bytes {
    let sets = [ddpm_proto::FILE_DESCRIPTOR_SET, tonic_types::pb::FILE_DESCRIPTOR_SET];
    let mut all = FileDescriptorSet::default();
    for set in sets {
        let set = FileDescriptorSet::decode(set).expect("the compiler of the contract wrote it");
        for mut file in set.file {
            file.source_code_info = None;
            if all.file.iter().all(|known| known.name != file.name) {
                all.file.push(file);
            }
        }
    }
    all.encode_to_vec().into()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

fn gzip(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(plain)?;
    encoder.finish()
}

/// Whether a browser takes gzip. One that weighs its encodings takes it as well, unless it says
/// that it does not.
fn accepts_gzip(asked: &HeaderMap) -> bool {
    let accepted = asked.get_all(header::ACCEPT_ENCODING).iter();
    let mut parts = accepted.filter_map(|value| value.to_str().ok()).flat_map(|it| it.split(','));
    parts.any(|part| {
        let mut words = part.split(';').map(str::trim);
        let refused = |word: &str| matches!(word, "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        words.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && !words.any(refused)
    })
}

/// Whether the browser has this content already.
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut tags = known.unwrap_or("").split(',').map(str::trim);
    tags.any(|known| known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use http_body_util::BodyExt;
    use prost_types::{DescriptorProto, FileDescriptorProto};

    use super::*;

    fn ask(method: &str, path: &str, headers: &[(&str, &str)]) -> Option<Response<Body>> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        find(&request.body(Body::empty()).unwrap())
    }

    async fn content(answer: Response<Body>) -> Bytes {
        answer.into_body().collect().await.unwrap().to_bytes()
    }

    /// Adds the names of the files below a folder.
    fn list(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => list(&entry.path(), &format!("{name}/"), names),
                false => drop(names.insert(name)),
            }
        }
    }

    #[test]
    fn every_file_of_the_page_is_served() {
        let mut files = BTreeSet::new();
        list(&Path::new(env!("CARGO_MANIFEST_DIR")).join("page"), "", &mut files);
        // What the bundle is made of.
        for name in ["entry.js", "package.json", "package-lock.json"] {
            files.remove(&format!("vendor/{name}"));
        }
        let served = PAGE.iter().map(|(_, name, _)| (*name).to_owned()).collect();
        assert_eq!(files, served);
    }

    #[test]
    fn the_page_has_at_most_150_kb_compressed() {
        let bytes: usize = FILES.iter().map(|file| file.gzip.len()).sum();
        assert!(bytes <= 150_000, "{bytes}");
    }

    #[tokio::test]
    async fn the_page_may_run_only_its_own_scripts() {
        let answer = ask("GET", "/", &[]).unwrap();
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header("content-type"), "text/html; charset=utf-8");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(content(answer).await, PAGE[0].2);
    }

    #[tokio::test]
    async fn a_browser_that_takes_gzip_gets_less() {
        let plain = content(ask("GET", "/page/style.css", &[]).unwrap()).await;
        let zipped = ask("GET", "/page/style.css", &[("accept-encoding", "br, gzip;q=0.8")]);
        let zipped = zipped.unwrap();
        assert_eq!(zipped.headers()["content-encoding"], "gzip");
        let zipped = content(zipped).await;
        let mut unzipped = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&zipped[..]), &mut unzipped).unwrap();
        assert!(zipped.len() < plain.len() && unzipped == plain);
        let refused = ask("GET", "/page/style.css", &[("accept-encoding", "gzip;q=0")]).unwrap();
        assert!(!refused.headers().contains_key("content-encoding"));
    }

    #[tokio::test]
    async fn what_a_browser_has_is_not_sent_again() {
        for encoding in ["gzip", "identity"] {
            let first = ask("GET", "/", &[("accept-encoding", encoding)]).unwrap();
            let tag = first.headers()["etag"].to_str().unwrap().to_owned();
            let known = [("accept-encoding", encoding), ("if-none-match", &*format!("W/{tag}"))];
            let again = ask("GET", "/", &known).unwrap();
            assert_eq!(again.status(), 304);
            assert!(content(again).await.is_empty());
        }
    }

    #[tokio::test]
    async fn other_methods_and_paths_are_not_of_the_page() {
        assert!(content(ask("HEAD", "/", &[]).unwrap()).await.is_empty());
        assert!(ask("POST", "/", &[]).is_none());
        for path in ["/page/", "/page/../page/style.css", "/page/vendor/package.json", "//"] {
            assert!(ask("GET", path, &[]).is_none(), "{path}");
        }
    }

    #[test]
    fn the_contract_names_our_services_and_the_details_of_errors() {
        let set = FileDescriptorSet::decode(contract()).unwrap();
        let names: Vec<&str> = set.file.iter().map(FileDescriptorProto::name).collect();
        for name in ["ddpm/v1/sampling.proto", "google/protobuf/duration.proto"] {
            assert_eq!(names.iter().filter(|known| **known == name).count(), 1, "{names:?}");
        }
        let messages = set.file.iter().flat_map(|file| &file.message_type);
        let names: Vec<&str> = messages.map(DescriptorProto::name).collect();
        for name in ["BadRequest", "RetryInfo", "ErrorInfo", "QuotaFailure", "GenerateEvent"] {
            assert!(names.contains(&name), "{names:?}");
        }
    }
}
