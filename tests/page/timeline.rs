//! What came can be gone through, back and forth, also while the rest arrives.

use crate::stage::{FEW, POINTS, Page};

#[test]
fn going_back_shows_an_earlier_frame_and_going_on_the_later_one_again() {
    for link in [FEW, POINTS] {
        let page = Page::open_and_finish(link);
        let last = page.picture();
        let mut seen = vec![last.clone()];
        for step in ["3", "6"] {
            page.show_step(step);
            let new = |hash: &str| !seen.contains(&hash.to_owned());
            let there = page.canvas_until("#view", "another frame", new);
            assert_eq!(page.settled("#view"), there);
            seen.push(there);
        }
        page.show_step("3");
        page.canvas_until("#view", "the earlier frame", |hash| hash == seen[1]);
        page.show_step("max");
        page.canvas_until("#view", "the last frame", |hash| hash == last);
        page.assert_silent();
    }
}

#[test]
fn single_steps_go_back_and_forth() {
    let page = Page::open_and_finish(FEW);
    page.show_step("5");
    let five = page.settled("#view");
    page.click("#step-back");
    page.until("document.querySelector('#timeline').value === '4'");
    page.canvas_until("#view", "another frame", |hash| hash != five);
    page.click("#step-forward");
    page.until("document.querySelector('#timeline').value === '5'");
    page.canvas_until("#view", "the same frame", |hash| hash == five);
}

#[test]
fn playing_moves_the_timeline_to_its_end_and_reverse_to_its_beginning() {
    let page = Page::lively();
    page.visit(page.server(), FEW);
    page.finish(1);
    let repeats = "(({ checked, ariaPressed }) => checked ?? ariaPressed === 'true')";
    if page.get(&format!("{repeats}(document.querySelector('#loop'))")) {
        page.click("#loop");
    }
    page.show_step("2");
    page.click("#play");
    page.until("document.querySelector('#timeline').value === '10'");
    page.show_step("6");
    page.click("#reverse");
    page.click("#play");
    page.until("document.querySelector('#timeline').value === '0'");
    page.assert_silent();
}

#[test]
fn what_came_can_be_gone_through_while_the_rest_arrives() {
    // One sample: of more, some may not have come to an early step when the first has passed it.
    let page = Page::open("#model=glyphs&count=1&steps=1000&seed=7");
    page.until("Number(document.querySelector('#timeline').max) >= 20");
    page.show_step("10");
    let there = page.settled("#view");
    let max: u32 = page.get("Number(document.querySelector('#timeline').max)");
    page.until(&format!("Number(document.querySelector('#timeline').max) > {max} + 20"));
    assert_eq!(page.get::<String>("document.querySelector('#timeline').value"), "10");
    assert_eq!(page.canvas_hash("#view"), there);
    assert_eq!(page.state(), "running");
    page.click("#cancel");
    page.until_state("cancelled");
    page.assert_silent();
}

#[test]
fn the_prediction_the_noisy_state_and_both_are_three_pictures() {
    let page = Page::open_and_finish(FEW);
    page.show_step("5");
    let mut pictures = Vec::new();
    for show in ["x_0", "x_t", "split"] {
        choose(&page, show);
        let seen = pictures.clone();
        pictures.push(page.canvas_until("#view", show, |hash| !seen.contains(&hash.to_owned())));
    }
    choose(&page, "x_0");
    page.canvas_until("#view", "the first again", |hash| hash == pictures[0]);
    page.assert_silent();
}

/// Chooses what of a sample is shown.
fn choose(page: &Page, show: &str) {
    let script = "
        const [show] = arguments;
        const list = document.querySelector('#show');
        if (list.tagName !== 'SELECT') return document.querySelector(`#show-${show}`).click();
        list.value = show;
        list.dispatchEvent(new Event('change', { bubbles: true }));";
    page.call(script, &[show.into()]);
}
