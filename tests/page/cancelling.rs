//! Who cancels, or leaves, frees what the run held on the server.

use crate::harness::idle;
use crate::stage::{ENDLESS, Page};

#[test]
fn cancelling_frees_the_slots_of_the_server_and_the_page_goes_on() {
    let page = Page::open(ENDLESS);
    page.until_state("running");
    let browser = page.browser();
    let client = browser.block_on(page.server().client());
    let load = browser.block_on(client.server_info()).unwrap().load;
    assert_eq!(load.requests, 1, "{load:?}");
    page.click("#cancel");
    page.until_state("cancelled");
    browser.block_on(idle(&client));
    page.set("#steps", "5");
    page.run();
    page.assert_silent();
}

#[test]
fn leaving_the_page_frees_the_slots_of_the_server() {
    let page = Page::open(ENDLESS);
    page.until_state("running");
    page.goto("about:blank");
    let client = page.browser().block_on(page.server().client());
    page.browser().block_on(idle(&client));
}

#[test]
fn a_new_run_takes_the_place_of_the_old_one() {
    let page = Page::open(ENDLESS);
    page.until_state("running");
    page.set("#steps", "5");
    page.set("#count", "4");
    // The button may wait for the end of a run, or end it itself.
    if page.get("document.querySelector('#start').disabled") {
        page.click("#cancel");
        page.until("!document.querySelector('#start').disabled");
    }
    page.click("#start");
    page.until_state("done");
    let client = page.browser().block_on(page.server().client());
    page.browser().block_on(idle(&client));
    page.assert_silent();
}
