//! What is wrong is said in a sentence, where it is, and the page goes on.

use std::fs;

use ddpm_client::{Event, Indices, Request};

use crate::files::write_picture;
use crate::harness::{TestServer, idle, root};
use crate::stage::{FEW, Page, assert_is_a_sentence};

/// Asserts that a run of the page still completes.
#[track_caller]
fn assert_goes_on(page: &Page) {
    page.set("#steps", "5");
    page.run();
    assert!(page.canvas_colours("#view") > 16);
}

#[test]
fn a_corrupt_picture_is_refused_in_a_sentence() {
    let page = Page::open_and_finish(FEW);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let whole = folder.path().join("whole.png");
    write_picture(&whole);
    let half = fs::read(&whole).unwrap();
    for (name, bytes) in [
        ("noise.png", &[7_u8; 5000][..]),
        ("empty.png", &[]),
        ("half.png", &half[..60]),
        ("words.txt", b"no picture at all"),
    ] {
        page.call("document.querySelector('#notice').textContent = ''", &[]);
        page.upload("#upload", &write(name, bytes));
        page.notice_with(&["picture", "image", "read", name]);
    }
    assert_goes_on(&page);
}

#[test]
fn a_link_with_nonsense_is_said_and_the_page_runs() {
    let many = format!("#model=glyphs&classes={}", "9,".repeat(20_000));
    for link in [
        "#%E0%A4%A",
        "#model=nobody&steps=ten&count=-3&seed=1e99&guidance=much&sampler=<b>",
        "#{\"model\":[1,{}]}",
        "#model=glyphs&steps=1e9&count=999999999999",
        &many,
    ] {
        let page = Page::open(link);
        let notice = page.poll("a sentence", || Some(page.notice()).filter(|it| !it.is_empty()));
        assert_is_a_sentence(&notice);
        if page.state() != "done" {
            page.until("!document.querySelector('#start').disabled || seen.end > 0");
        }
        page.set("#count", "4");
        page.set("#guidance", "1");
        assert_goes_on(&page);
        assert_eq!(page.get::<Vec<String>>("seen.faults"), [""; 0], "{link}");
    }
}

#[test]
fn a_model_that_was_taken_away_is_named_and_another_can_be_used() {
    let server = TestServer::start(&[]);
    let listen = server.address().trim_start_matches("http://").to_owned();
    let page = Page::blank();
    page.visit(&server, FEW);
    page.finish(1);
    drop(server);
    let toy = root().join("models/toy");
    let _server = TestServer::start(&["--listen", &listen, "--models", toy.to_str().unwrap()]);
    page.click("#start");
    page.notice_with(&["glyphs"]);
    page.set("#model", "toy");
    page.set("#steps", "5");
    page.run();
}

/// Fills a server with a request that does not end.
fn occupy(page: &Page, server: &TestServer) -> ddpm_client::Generation {
    page.browser().block_on(async {
        let request = Request::new("glyphs", Indices::first(100)).num_steps(1000);
        let mut running = server.client().await.generate(request).await.unwrap();
        assert!(matches!(running.next().await.unwrap(), Some(Event::Accepted(_))));
        running
    })
}

#[test]
fn a_full_server_is_told_with_the_time_to_come_back() {
    let server = TestServer::start(&["--max-requests", "1"]);
    let page = Page::blank();
    let running = occupy(&page, &server);
    page.visit(&server, FEW);
    let notice = page.notice_with(&["full", "busy"]);
    assert!(notice.contains(|c: char| c.is_ascii_digit()), "{notice}");
    drop(running);
    let client = page.browser().block_on(server.client());
    // The page may come back by itself.
    let ended: u64 = page.get("seen.end");
    page.poll("room for the page, or its run", || {
        let load = page.browser().block_on(client.server_info()).unwrap().load;
        (load.requests == 0 || page.get::<u64>("seen.end") > ended).then_some(())
    });
    page.until("!document.querySelector('#start').disabled");
    assert_goes_on(&page);
    page.browser().block_on(idle(&client));
}

#[test]
fn a_draining_server_is_told_and_the_controls_still_work() {
    let server = TestServer::start(&["--drain-seconds", "600"]);
    let page = Page::blank();
    page.visit(&server, FEW);
    page.finish(1);
    let running = occupy(&page, &server);
    server.signal("TERM");
    let client = page.browser().block_on(server.client());
    page.poll("the server drains", || {
        let info = page.browser().block_on(client.server_info());
        info.is_ok_and(|info| info.load.draining).then_some(())
    });
    page.click("#start");
    page.notice_with(&["drain", "shut", "stop"]);
    page.show_step("3");
    page.settled("#view");
    drop(running);
}

#[test]
fn an_answer_of_eight_megabytes_is_said_and_the_page_goes_on() {
    let page = Page::open_and_finish(FEW);
    let before = page.picture();
    let replace = "
        const real = window.fetch;
        window.restore = () => { window.fetch = real; };
        window.fetch = (input, options) => {
            if (!String(input.url ?? input).includes('/Generate')) return real(input, options);
            const bytes = new Uint8Array(8 << 20).fill(0xff);
            new DataView(bytes.buffer).setUint8(0, 0);
            new DataView(bytes.buffer).setUint32(1, bytes.length - 5);
            const headers = { 'content-type': 'application/grpc-web+proto' };
            return Promise.resolve(new Response(bytes, { headers }));
        };";
    page.call(replace, &[]);
    page.click("#start");
    let failed = "['failed', 'interrupted'].includes(
        document.querySelector('#run-status').dataset.state)";
    page.until(failed);
    page.notice_with(&["answer", "server", "read", "understood"]);
    page.call("restore()", &[]);
    if page.state() == "interrupted" {
        page.click("#cancel");
    }
    page.run();
    assert_eq!(page.picture(), before);
}

#[test]
fn samples_of_eight_megabytes_in_all_are_drawn() {
    let page = Page::open_and_finish(FEW);
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("picture.png");
    write_picture(&picture);
    page.upload("#upload", &picture);
    page.until("document.querySelector('#strength').checkVisibility()");
    // Without strength the picture comes back, 768 bytes a sample, and the network rests.
    page.set("#strength", "0");
    page.set("#count", "11000");
    page.run();
    assert!(page.canvas_colours("#view") > 16);
    page.set("#count", "4");
    page.set("#strength", "0.5");
    page.run();
    page.assert_silent();
}

#[test]
fn violations_stand_at_their_control() {
    let page = Page::open_and_finish(FEW);
    for (control, wrong, right) in
        [("steps", "100000", "10"), ("guidance", "5000", "2"), ("count", "0", "4")]
    {
        page.set(&format!("#{control}"), wrong);
        if !page.get::<bool>("document.querySelector('#start').disabled") {
            page.click("#start");
        }
        let error = format!("#{control}-error");
        let text = page.poll(&format!("an error at {control}"), || {
            Some(page.text(&error)).filter(|text| !text.is_empty())
        });
        assert_is_a_sentence(&text);
        let field = format!("#{control}");
        assert_eq!(page.attribute(&field, "aria-invalid").as_deref(), Some("true"), "{control}");
        let described = page.attribute(&field, "aria-describedby").unwrap_or_default();
        assert!(described.contains(&format!("{control}-error")), "{control}: {described}");
        page.set(&field, right);
        page.run();
        assert_eq!(page.text(&error), "");
        assert_ne!(page.attribute(&field, "aria-invalid").as_deref(), Some("true"), "{control}");
    }
    page.assert_silent();
}
