//! Two runs side by side in step, and what differs.

use crate::stage::{FEW, POINTS, Page};

/// Opens a link and puts a second run beside the first.
fn compare(link: &str) -> Page {
    let page = Page::open_and_finish(link);
    page.set("#sampler", "ddim");
    page.click("#compare");
    page.until("document.querySelector('#sampler-b')?.checkVisibility()");
    page.set("#sampler-b", "ddim");
    page.set("#steps-b", "10");
    page.run();
    page
}

#[test]
fn the_second_run_begins_as_the_first_and_its_samples_can_be_enlarged() {
    let page = Page::open_and_finish(FEW);
    page.set("#sampler", "ddim");
    page.set("#guidance", "2");
    page.click("#compare");
    let chosen: Vec<String> = page.get(
        "['model-b', 'sampler-b', 'steps-b', 'guidance-b']
            .map((id) => document.getElementById(id).value)",
    );
    assert_eq!(chosen, ["glyphs", "ddim", "10", "2"]);
    page.run();
    page.click("#cells-b .cell[data-index='2']");
    page.until("document.querySelector('#enlarged').open");
    page.until("document.querySelector('#enlarged-title').textContent.startsWith('B')");
    page.assert_silent();
}

#[test]
fn models_that_cannot_be_compared_leave_no_difference() {
    let page = compare(FEW);
    page.until("document.querySelector('#difference').checkVisibility()");
    page.set("#model-b", "toy");
    page.run();
    page.until("!document.querySelector('#difference').checkVisibility()");
    page.assert_silent();
}

#[test]
fn two_samplers_differ_and_one_does_not_differ_from_itself() {
    let page = compare(FEW);
    page.show_step("max");
    page.settled("#view-b");
    assert_eq!(page.canvas_hash("#view"), page.canvas_hash("#view-b"));
    let (same, colours) = (page.settled("#difference"), page.canvas_colours("#difference"));
    // Nothing, and perhaps the space between samples.
    assert!(colours <= 3, "{colours} colours");
    page.set("#sampler-b", "heun");
    page.run();
    page.show_step("max");
    assert_ne!(page.settled("#view"), page.canvas_hash("#view-b"));
    assert_ne!(page.canvas_hash("#difference"), same);
    let colours = page.canvas_colours("#difference");
    assert!(colours > 10, "{colours} colours");
    page.assert_silent();
}

#[test]
fn both_runs_follow_one_timeline_also_with_unequal_numbers_of_steps() {
    let page = compare(FEW);
    page.set("#steps-b", "5");
    page.run();
    page.show_step("max");
    let last = (page.settled("#view"), page.canvas_hash("#view-b"));
    page.show_step("4");
    let earlier = (page.settled("#view"), page.canvas_hash("#view-b"));
    assert!(last.0 != earlier.0 && last.1 != earlier.1, "{last:?} {earlier:?}");
    page.assert_silent();
}

#[test]
fn a_link_of_a_comparison_gives_both_pictures_again() {
    let page = compare(FEW);
    page.set("#sampler-b", "heun");
    page.run();
    page.show_step("max");
    let pictures = (page.settled("#view"), page.canvas_hash("#view-b"));
    let link = page.link();
    page.visit(page.server(), &link);
    page.finish(1);
    page.show_step("max");
    assert_eq!((page.settled("#view"), page.canvas_hash("#view-b")), pictures);
    page.assert_silent();
}

#[test]
fn points_can_be_compared_too() {
    let page = compare(POINTS);
    let same = page.settled("#difference");
    page.set("#sampler-b", "heun");
    page.run();
    assert_ne!(page.settled("#difference"), same);
    page.assert_silent();
}
