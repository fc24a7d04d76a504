//! What a model package or a link says stays text.

use std::fs;
use std::path::Path;

use crate::harness::{TestServer, copy_folder, root};
use crate::stage::Page;

/// Would run a script if it became HTML, and break out of an attribute.
const NAME: &str = "<img src=x onerror=alert(1)>";

/// Writes a package of glyphs with hostile names of classes into a folder.
fn hostile_package(folder: &Path) {
    copy_folder(&root().join("models/glyphs"), folder);
    let manifest = folder.join("ddpm.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let classes = json["classes"].as_array_mut().unwrap();
    classes[0] = NAME.into();
    classes[1] = format!("\"'>{NAME}<script>alert(2)</script>").into();
    classes[2] = "javascript:alert(3)\u{202e}{{constructor}}${alert(4)}".into();
    fs::write(manifest, serde_json::to_vec(&json).unwrap()).unwrap();
}

#[test]
fn hostile_names_of_classes_never_become_html() {
    let folder = tempfile::tempdir().unwrap();
    hostile_package(folder.path());
    let server = TestServer::start(&["--models", folder.path().to_str().unwrap()]);
    let page = Page::blank();
    page.before_each_page("window.alert = (what) => seen.faults.push(`alert ${what}`);");
    page.visit(&server, "#model=glyphs&count=4&steps=5&seed=7&classes=0,1,2");
    page.finish(1);
    assert!(page.text("#classes").contains(NAME));
    page.click(".cell[data-index='0']");
    page.until("document.querySelector('#enlarged').open");
    let made: Vec<String> = page.get(
        "[...document.querySelectorAll('img, script, iframe, object, [onerror]')]
            .map((it) => it.outerHTML)
            .filter((html) => /alert|src=.?x\\b/.test(html))",
    );
    assert!(made.is_empty(), "{made:?}");
    page.assert_silent();
}

#[test]
fn a_hostile_link_never_becomes_html() {
    let page = Page::blank();
    page.before_each_page("window.alert = (what) => seen.faults.push(`alert ${what}`);");
    let encoded = "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E";
    let link = format!(
        "#model={encoded}&sampler={encoded}&classes={encoded}&seed={encoded}&{encoded}={encoded}"
    );
    page.visit(page.server(), &link);
    page.poll("a sentence", || Some(page.notice()).filter(|it| !it.is_empty()));
    let made: u32 = page.get("document.querySelectorAll('img[src=\"x\"]').length");
    assert_eq!(made, 0);
    let faults: Vec<String> = page.get("seen.faults");
    assert!(faults.is_empty(), "{faults:?}");
}
