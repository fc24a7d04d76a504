//! axe-core finds nothing, and who asked for less motion gets it.

use std::fs;

use serde_json::Value;

use crate::files::peers;
use crate::stage::{FEW, LESS_MOTION, POINTS, Page};

/// Runs axe-core on what a page shows now.
#[track_caller]
fn assert_accessible(page: &Page, what: &str) {
    if !page.get::<bool>("'axe' in window") {
        let axe = peers().join("axe_playwright_python/axe.min.js");
        page.call(&fs::read_to_string(axe).unwrap(), &[]);
    }
    let script = "
        const { violations } = await axe.run(document, { resultTypes: ['violations'] });
        return violations.map(({ id, help, nodes }) => ({
            id, help, nodes: nodes.map((node) => `${node.target}: ${node.failureSummary}`),
        }));";
    let found = page.call(&format!("return (async () => {{ {script} }})();"), &[]);
    let none = found.as_array().is_some_and(Vec::is_empty);
    assert!(none, "{what}: {}", serde_json::to_string_pretty(&found).unwrap());
}

#[test]
fn axe_finds_nothing_in_the_dark_or_the_light() {
    for scheme in ["light", "dark"] {
        let page = Page::blank();
        page.prefer(&[("prefers-color-scheme", scheme), LESS_MOTION]);
        page.visit(page.server(), FEW);
        page.finish(1);
        assert_accessible(&page, &format!("pictures, {scheme}"));
        page.click(".cell[data-index='0']");
        page.until("document.querySelector('#enlarged').open");
        assert_accessible(&page, &format!("enlarged, {scheme}"));
        page.press(fantoccini::key::Key::Escape);
        page.click("#compare");
        page.set("#steps", "100000");
        page.click("#start");
        page.until("document.querySelector('#steps-error').textContent");
        assert_accessible(&page, &format!("comparing with a fault, {scheme}"));
        page.visit(page.server(), POINTS);
        page.finish(1);
        assert_accessible(&page, &format!("points, {scheme}"));
    }
}

#[test]
fn nothing_plays_by_itself_for_who_wants_less_motion() {
    let page = Page::blank();
    page.visit(page.server(), FEW);
    page.finish(1);
    let before = page.settled("#view");
    let value: String = page.get("document.querySelector('#timeline').value");
    // Twenty frames of the screen later it is where it was.
    for _ in 0..10 {
        assert_eq!(page.settled("#view"), before);
    }
    assert_eq!(page.get::<String>("document.querySelector('#timeline').value"), value);
    let moving: Value = page.get(
        "document.getAnimations().filter((it) => it.playState === 'running')
            .map((it) => it.animationName ?? it.transitionProperty ?? 'a script')",
    );
    assert_eq!(moving, serde_json::json!([]));
}

#[test]
fn what_happens_is_said_to_screen_readers() {
    let page = Page::open_and_finish(FEW);
    let role = page.attribute("#notice", "role");
    assert!(matches!(role.as_deref(), Some("status" | "alert")), "{role:?}");
    let unnamed: Vec<String> = page.get(
        "[...document.querySelectorAll('canvas, svg')].filter((it) => it.checkVisibility())
            .filter((it) => !it.closest('[aria-hidden=\"true\"]'))
            .filter((it) => !(it.ariaLabel || it.getAttribute('aria-labelledby')
                || it.querySelector('title')))
            .map((it) => it.id || it.outerHTML.slice(0, 80))",
    );
    assert!(unnamed.is_empty(), "{unnamed:?}");
    let language = page.attribute("html", "lang");
    assert_eq!(language.as_deref(), Some("en"));
}
