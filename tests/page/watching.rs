//! A run starts by itself, moves and completes.

use crate::stage::{FEW, POINTS, Page};

/// Notes the picture whenever something new is drawn, up to a few.
const NOTE_PICTURES: &str = "
    window.pictures = new Set();
    document.addEventListener('ddpm:draw', () => {
        if (pictures.size >= 5) return;
        const view = document.querySelector('#view');
        const copy = new OffscreenCanvas(view.width, view.height).getContext('2d');
        copy.drawImage(view, 0, 0);
        const bytes = copy.getImageData(0, 0, view.width, view.height).data;
        let hash = 0;
        for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
        pictures.add(hash);
    });";

#[test]
fn a_run_starts_by_itself_moves_and_completes_without_an_error() {
    let page = Page::lively();
    page.before_each_page(NOTE_PICTURES);
    page.visit(page.server(), "");
    page.finish(1);
    let pictures: u32 = page.get("pictures.size");
    assert!(pictures >= 5, "{pictures} pictures");
    assert!(page.get::<u32>("seen['first-preview']") >= 1);
    assert!(page.canvas_colours("#view") > 16);
    page.assert_silent();
}

#[test]
fn a_link_of_points_moves_and_completes_without_an_error() {
    let page = Page::lively();
    page.before_each_page(NOTE_PICTURES);
    page.visit(page.server(), POINTS);
    page.finish(1);
    let pictures: u32 = page.get("pictures.size");
    assert!(pictures >= 5, "{pictures} pictures");
    page.assert_silent();
}

#[test]
fn every_sample_can_be_enlarged_and_the_dialogue_closed() {
    let page = Page::open_and_finish(FEW);
    let cells: Vec<String> =
        page.get("[...document.querySelectorAll('.cell')].map((cell) => cell.dataset.index)");
    assert_eq!(cells, ["0", "1", "2", "3"]);
    for _ in 0..2 {
        page.click(".cell[data-index='2']");
        page.until("document.querySelector('#enlarged').open");
        page.press(fantoccini::key::Key::Escape);
        page.until("!document.querySelector('#enlarged').open");
    }
    page.assert_silent();
}

#[test]
fn what_is_not_possible_for_a_model_is_not_shown() {
    let page = Page::open_and_finish(FEW);
    let shown = |css: &str| -> bool {
        page.get(&format!("document.querySelector('{css}')?.checkVisibility() ?? false"))
    };
    assert!(shown("#classes") && shown("#drop"));
    page.set("#model", "toy");
    page.until("!document.querySelector('#classes')?.checkVisibility()");
    assert!(!shown("#drop") && !shown("#guidance"));
    page.run();
    page.assert_silent();
}

#[test]
fn the_samplers_and_their_options_come_from_the_server() {
    let page = Page::open_and_finish(FEW);
    let client = page.browser().block_on(page.server().client());
    let models = page.browser().block_on(client.models()).unwrap();
    assert!(!models.is_empty());
    let offered: Vec<String> =
        page.get("[...document.querySelectorAll('#sampler option')].map((option) => option.value)");
    assert!(offered.len() > 15, "{offered:?}");
    for name in ["ddpm", "ddim", "heun", "unipc"] {
        assert!(offered.iter().any(|it| it == name), "{name} is not in {offered:?}");
    }
    page.set("#sampler", "ddim");
    page.until("document.querySelector('#option-eta')");
    page.set("#option-eta", "1");
    page.run();
    page.set("#sampler", "heun");
    page.until("!document.querySelector('#option-eta')");
    page.assert_silent();
}
