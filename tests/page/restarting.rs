//! A server that dies in the middle of a run costs time and no sample.

use ddpm_client::{Format, Indices, Request, SamplerChoice};

use crate::files::{Saved, in_python};
use crate::harness::{TestServer, values};
use crate::stage::Page;

const LINK: &str = "#model=glyphs&count=24&steps=60&seed=7&sampler=ddim";

#[test]
fn a_server_killed_and_started_again_in_mid_run_ends_with_every_index_once() {
    // Few samples at a time, so that some are done while others have not begun.
    let arguments = ["--batch", "4"];
    let server = TestServer::start(&arguments);
    let listen = server.address().trim_start_matches("http://").to_owned();
    let page = Page::blank();
    page.visit(&server, LINK);
    page.until_state("running");
    page.until("Number(document.querySelector('#timeline').max) >= 5");
    drop(server);
    page.until_state("interrupted");
    let said = page.notice_with(&["again", "connection", "server"]);
    assert_ne!(said, "");

    let server = TestServer::start(&["--listen", &listen, arguments[0], arguments[1]]);
    page.finish(1);
    let cells: Vec<u64> = page
        .get("[...document.querySelectorAll('.cell')].map((cell) => Number(cell.dataset.index))");
    assert_eq!(cells, (0..24).collect::<Vec<_>>());

    let saved = Saved::new(&page);
    let array = in_python(&saved.press(&page, "#save-npy"));
    assert_eq!(array["shape"][0], 24);
    let request = Request::new("glyphs", Indices::first(24)).num_steps(60).seed(7);
    let request = request.class_labels((0..16).collect::<Vec<_>>()).format(Format::RawF32);
    let request = request.sampler("ddim".parse::<SamplerChoice>().unwrap());
    let want = page.browser().block_on(server.sample(request)).samples;
    let want: Vec<f32> = want.iter().flat_map(|sample| values(&sample.data).to_vec()).collect();
    let got: Vec<f32> = serde_json::from_value(array["elements"].clone()).unwrap();
    assert!(got == want, "the samples are not those of one run");
}
