//! Nothing is out of reach on a phone of 390 pixels.

use crate::stage::{FEW, POINTS, Page};

/// Lists what can be used and cannot be reached: brought into view, something else or nothing lies
/// where its middle is.
const UNREACHABLE: &str = "
    const found = [];
    const used = 'button, input, select, summary, a[href], [tabindex]:not([tabindex=\"-1\"])';
    for (const element of document.querySelectorAll(used)) {
        if (element.disabled || !element.checkVisibility({ visibilityProperty: true })) continue;
        // A field that is hidden behind its label is used by it.
        const { opacity, width } = getComputedStyle(element);
        const hidden = opacity === '0' || parseFloat(width) < 2;
        const target = hidden && element.labels?.[0] ? element.labels[0] : element;
        target.scrollIntoView({ block: 'center', inline: 'nearest', behavior: 'instant' });
        const box = target.getBoundingClientRect();
        if (box.left < -1 || box.right > innerWidth + 1) {
            found.push(`${element.id || element.outerHTML.slice(0, 80)} leaves the screen`);
            continue;
        }
        const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
        const there = document.elementFromPoint(x, y);
        const own = there && (target.contains(there) || there.contains(target)
            || there.closest('label')?.control === element);
        if (!own) {
            const what = there?.id || there?.outerHTML.slice(0, 80);
            found.push(`${element.id || element.outerHTML.slice(0, 80)} is covered by ${what}`);
        }
    }
    return found;";

#[track_caller]
fn assert_fits(page: &Page) {
    let width: u32 = page.get("document.scrollingElement.scrollWidth");
    assert!(width <= 390, "the page is {width} pixels wide");
    let unreachable = page.call(UNREACHABLE, &[]);
    assert_eq!(unreachable, serde_json::json!([]));
}

#[test]
fn nothing_is_wider_than_a_phone_or_out_of_reach() {
    for link in [FEW, POINTS] {
        let page = Page::blank();
        page.become_phone(390, 844);
        page.visit(page.server(), link);
        page.finish(1);
        assert_fits(&page);
        page.click("#compare");
        page.until("document.querySelector('#sampler-b')?.checkVisibility()");
        page.run();
        assert_fits(&page);
        page.assert_silent();
    }
}

#[test]
fn an_enlarged_sample_fits_a_phone() {
    let page = Page::blank();
    page.become_phone(390, 844);
    page.visit(page.server(), FEW);
    page.finish(1);
    page.click(".cell[data-index='0']");
    page.until("document.querySelector('#enlarged').open");
    let width: f64 = page.get("document.querySelector('#enlarged').getBoundingClientRect().right");
    assert!(width <= 390.5, "{width}");
}
