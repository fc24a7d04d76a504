//! Noise by hand, and the way back from there.

use crate::stage::{FEW, POINTS, Page};

/// Sets the amount of noise as a share of the range of the slider.
fn noise(page: &Page, share: f64) {
    let script = "
        const { min, max, step } = document.querySelector('#forward-t');
        const [from, to, by] = [Number(min || 0), Number(max || 100), Number(step) || 1];
        return String(from + Math.round((to - from) * arguments[0] / by) * by);";
    let value = page.call(script, &[share.into()]);
    page.set("#forward-t", value.as_str().unwrap());
}

#[test]
fn more_noise_is_another_picture_and_the_same_noise_the_same() {
    for link in [FEW, POINTS] {
        let page = Page::open_and_finish(link);
        let mut pictures = Vec::new();
        for share in [0.0, 0.3, 0.9, 0.3] {
            noise(&page, share);
            pictures.push(page.settled("#forward-view"));
        }
        assert_ne!(pictures[0], pictures[1]);
        assert_ne!(pictures[1], pictures[2]);
        assert_eq!(pictures[1], pictures[3]);
        page.assert_silent();
    }
}

#[test]
fn denoising_from_here_starts_the_server_from_that_state() {
    for link in [FEW, POINTS] {
        let page = Page::open_and_finish(link);
        let before = page.picture();
        noise(&page, 0.5);
        let ends: u64 = page.get("seen.end");
        page.click("#denoise-from-here");
        page.finish(ends + 1);
        assert_ne!(page.picture(), before);
        // It starts half way, not from pure noise.
        let steps: u32 = page.get("Number(document.querySelector('#timeline').max)");
        assert!(steps >= 1, "{steps} steps");
        page.assert_silent();
    }
}
