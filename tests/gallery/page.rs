//! The page: glyphs and points, dark and light, wide and narrow, forwards and side by side.

use ddpm_tests::browser::Tab;

use crate::studio::{Studio, picture, png};

/// A laptop's window.
const WIDE: (u32, u32) = (1280, 900);

/// A small phone.
const NARROW: (u32, u32) = (390, 844);

/// The seed of all pictures.
const SEED: &str = "7";

/// Glyphs, half formed.
pub(crate) fn dark(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    half_formed(&glyphs(studio, "dark", WIDE, 1.0))
}

/// The same for those who prefer light pages.
pub(crate) fn light(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    half_formed(&glyphs(studio, "light", WIDE, 1.0))
}

/// Points of the plane, with their trails, which are smooth without noise in the steps.
pub(crate) fn points(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    let tab = open(studio, "dark", WIDE, 1.0);
    generate(&tab, &[("#model", "toy"), ("#sampler", "ddim"), ("#count", "600"), ("#steps", "25")]);
    at(&tab, 0.8)
}

/// Glyphs on a phone.
pub(crate) fn phone(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    half_formed(&glyphs(studio, "dark", NARROW, 2.0))
}

/// The person is the forward process.
pub(crate) fn forward(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    let tab = glyphs(studio, "dark", WIDE, 2.0);
    scroll(&tab, "#forward");
    tab.call("document.querySelector('#forward').style.padding = '12px'", &[]);
    let middle: f64 = tab.get("Number(document.querySelector('#forward-t').max) * 0.4");
    tab.set("#forward-t", &middle.round().to_string());
    png(&picture(&tab, Some("#forward"))?)
}

/// Two samplers from one seed, side by side.
pub(crate) fn compare(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    let tab = open(studio, "dark", WIDE, 1.0);
    tab.click("#compare");
    tab.until("document.querySelector('#sampler-b')?.offsetParent");
    generate(&tab, &[("#count", "12"), ("#steps", "50"), ("#steps-b", "4")]);
    scroll(&tab, "#steps-b");
    png(&picture(&tab, None)?)
}

/// Opens the page with a finished run of 64 glyphs.
fn glyphs(studio: &Studio, scheme: &str, size: (u32, u32), scale: f64) -> Tab {
    let tab = open(studio, scheme, size, scale);
    generate(&tab, &[("#model", "glyphs"), ("#count", "64"), ("#steps", "50")]);
    tab
}

/// Opens the page and waits for the run that it starts by itself.
pub(crate) fn open(studio: &Studio, scheme: &str, size: (u32, u32), scale: f64) -> Tab {
    let tab = studio.tab(scheme, size, scale);
    tab.goto(&studio.url());
    tab.until("document.body.dataset.ready === 'true'");
    wait_for_the_end(&tab);
    tab
}

/// Sets controls and runs.
pub(crate) fn generate(tab: &Tab, settings: &[(&str, &str)]) {
    for (control, value) in settings {
        tab.set(control, value);
    }
    tab.set("#seed", SEED);
    tab.click("#start");
    tab.until(
        "['waiting', 'running'].includes(document.querySelector('#run-status').dataset.state)",
    );
    wait_for_the_end(tab);
}

fn wait_for_the_end(tab: &Tab) {
    tab.until("document.querySelector('#run-status').dataset.state === 'done'");
}

/// Goes back to where shapes can be seen in the noise, and takes the picture.
fn half_formed(tab: &Tab) -> anyhow::Result<Vec<u8>> {
    at(tab, 0.55)
}

/// Takes a picture of the whole page at a share of the run.
fn at(tab: &Tab, share: f64) -> anyhow::Result<Vec<u8>> {
    go_to(tab, share);
    tab.call("scrollTo({ top: 0, behavior: 'instant' })", &[]);
    png(&picture(tab, None)?)
}

/// Moves the timeline to a share of the run.
pub(crate) fn go_to(tab: &Tab, share: f64) {
    let last: f64 = tab.get("Number(document.querySelector('#timeline').max)");
    tab.set("#timeline", &(share * last).round().to_string());
}

fn scroll(tab: &Tab, css: &str) {
    let script = "
        const where = { behavior: 'instant', block: 'center' };
        document.querySelector(arguments[0]).scrollIntoView(where);";
    tab.call(script, &[css.into()]);
}
