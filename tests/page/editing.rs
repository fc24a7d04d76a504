//! From a picture, and around what is known of it.

use crate::files::{Saved, in_python, pixels, write_picture};
use crate::stage::{FEW, Page, assert_is_a_sentence};

/// Pixels that a stroke through the middle, of whatever width, does not reach.
const FAR: usize = 16 * 2;

fn open_with_picture() -> Page {
    let page = Page::open_and_finish(FEW);
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    write_picture(&picture);
    page.upload("#upload", &picture);
    page.until("document.querySelector('#strength')?.checkVisibility()");
    page
}

fn saved_samples(page: &Page) -> Vec<Vec<u8>> {
    let array = in_python(&Saved::new(page).press(page, "#save-npy"));
    let pixels: Vec<u8> = serde_json::from_value(array["pixels"].clone()).unwrap();
    pixels.chunks(768).map(<[u8]>::to_vec).collect()
}

#[test]
fn inpainting_keeps_the_known_pixels_and_changes_the_painted_ones() {
    let page = open_with_picture();
    page.click("#inpaint");
    page.until("document.querySelector('#mask')?.checkVisibility()");
    page.set("#brush-size", "1");
    page.drag("#mask", (0.4, 0.5), (0.6, 0.5));
    page.run();
    let given = pixels();
    for sample in saved_samples(&page) {
        // The first and the last two rows.
        assert_eq!(sample[..FAR * 3], given[..FAR * 3]);
        assert_eq!(sample[768 - FAR * 3..], given[768 - FAR * 3..]);
        let changed = sample.iter().zip(&given).filter(|(a, b)| a != b).count();
        assert!(changed > 3, "{changed} bytes changed");
        assert!(changed < 600, "{changed} bytes changed");
    }
    page.assert_silent();
}

#[test]
fn inpainting_with_nothing_painted_says_so_and_does_not_run() {
    let page = open_with_picture();
    page.click("#inpaint");
    page.until("document.querySelector('#mask')?.checkVisibility()");
    page.click("#start");
    page.until("document.querySelector('#mask-error').textContent");
    assert_is_a_sentence(&page.text("#mask-error"));
    assert_eq!(page.get::<u32>("seen.press"), 1);
    page.drag("#mask", (0.4, 0.5), (0.6, 0.5));
    assert_eq!(page.text("#mask-error"), "");
    page.run();
    page.assert_silent();
}

#[test]
fn no_strength_returns_the_picture_and_more_changes_it() {
    let page = open_with_picture();
    let mut changes = Vec::new();
    for strength in ["0", "0.5"] {
        page.set("#strength", strength);
        page.run();
        let samples = saved_samples(&page);
        let change = |sample: &Vec<u8>| -> u64 {
            sample.iter().zip(&pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
        };
        changes.push(samples.iter().map(change).sum::<u64>());
    }
    assert_eq!(changes[0], 0);
    assert!(changes[1] > 1000, "{changes:?}");
    page.assert_silent();
}
