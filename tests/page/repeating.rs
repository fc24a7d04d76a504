//! A seed and a link give the same picture again.

use crate::stage::{FEW, POINTS, Page};

#[test]
fn the_same_seed_gives_the_same_picture_and_another_one_does_not() {
    let page = Page::open_and_finish(FEW);
    let first = page.picture();
    page.set("#seed", "8");
    page.run();
    assert_ne!(page.picture(), first);
    page.set("#seed", "7");
    page.run();
    assert_eq!(page.picture(), first);
    page.assert_silent();
}

#[test]
fn a_link_gives_the_picture_again() {
    for link in [FEW, POINTS] {
        let page = Page::open_and_finish(link);
        page.set("#seed", "123");
        page.set("#steps", "7");
        page.set("#sampler", "ddim");
        page.run();
        let (first, link) = (page.picture(), page.link());
        assert!(link.contains("123"), "{link}");
        page.visit(page.server(), &link);
        page.finish(1);
        assert_eq!(page.link(), link);
        assert_eq!(page.picture(), first);
        assert_eq!(page.get::<String>("document.querySelector('#steps').value"), "7");
        page.assert_silent();
    }
}

#[test]
fn a_seed_that_chance_picked_is_in_the_link() {
    let page = Page::open_and_finish(FEW);
    let before = page.picture();
    page.click("#seed-dice");
    let ends: u64 = page.get("seen.end");
    // The dice may start a run by themselves.
    if ends == 1 && page.get::<u64>("seen.press") == 1 {
        page.run();
    }
    page.until_state("done");
    let (first, link) = (page.picture(), page.link());
    assert_ne!(first, before);
    page.visit(page.server(), &link);
    page.finish(1);
    assert_eq!(page.picture(), first);
}
