//! Nothing needs a pointer.

use std::collections::BTreeSet;

use fantoccini::key::Key;

use crate::stage::{FEW, Page};

/// What a person uses, by its name, or by that of its group or kind.
const CONTROLS: &str = "
    start model sampler steps grid guidance seed seed-dice seed-lock count upload timeline
    play step-back step-forward reverse speed loop forward-t denoise-from-here compare
    save-png save-gif copy-link classes cell";

/// The names of what has the focus, and of the group that it belongs to.
const FOCUS: &str = "
    const element = document.activeElement;
    if (!element || element === document.body) return ['body'];
    return [element.id, element.name ?? '', element.closest('[id]')?.id ?? '',
            element.parentElement?.closest('[id]')?.id ?? '', element.className];";

fn focus(page: &Page) -> Vec<String> {
    serde_json::from_value(page.call(FOCUS, &[])).unwrap()
}

/// Goes on by Tab until something has the focus.
#[track_caller]
fn tab_to(page: &Page, id: &str) {
    for _ in 0..150 {
        page.press(Key::Tab);
        if focus(page).first().is_some_and(|name| name == id) {
            return;
        }
    }
    panic!("Tab does not come to {id}");
}

#[test]
fn tab_comes_to_every_control_and_leaves_the_page_again() {
    let page = Page::open_and_finish(FEW);
    let mut seen = BTreeSet::new();
    let mut presses = 0;
    loop {
        page.press(Key::Tab);
        let names = focus(&page);
        // Past the last control the focus is the browser's, which a tab shows as the body's.
        if names == ["body"] {
            break;
        }
        seen.extend(names);
        presses += 1;
        assert!(presses < 200, "the focus is trapped: {seen:?}");
    }
    for id in CONTROLS.split_whitespace() {
        assert!(seen.contains(id), "Tab does not come to {id}: {seen:?}");
    }
    assert!(seen.iter().any(|name| name.starts_with("show")), "{seen:?}");
}

#[test]
fn space_plays_and_pauses_and_arrows_step() {
    let page = Page::open_and_finish(FEW);
    page.show_step("5");
    page.call("document.activeElement?.blur()", &[]);
    let value = "document.querySelector('#timeline').value";
    page.press(Key::Left);
    page.until(&format!("{value} === '4'"));
    page.press(Key::Right);
    page.until(&format!("{value} === '5'"));
    let button = "(() => { const play = document.querySelector('#play');
        return [play.textContent, play.ariaLabel, play.ariaPressed, play.title].join(); })()";
    let pausing: String = page.get(button);
    page.press(Key::Space);
    page.until(&format!("{button} !== {}", serde_json::to_string(&pausing).unwrap()));
    page.press(Key::Space);
    page.until(&format!("{button} === {}", serde_json::to_string(&pausing).unwrap()));
    page.assert_silent();
}

#[test]
fn the_keys_of_the_playhead_work_on_the_timeline_and_after_a_press_of_generate() {
    let page = Page::open_and_finish(FEW);
    let value = "document.querySelector('#timeline').value";
    for id in ["timeline", "show-x_t"] {
        page.call(&format!("document.getElementById('{id}').focus()"), &[]);
        page.press(Key::Home);
        page.until(&format!("{value} === '0'"));
        page.press(Key::Right);
        page.until(&format!("{value} === '1'"));
        page.press(Key::End);
        page.until(&format!("{value} === '10'"));
    }
    page.press('x');
    page.until("document.querySelector('#show-x_0').checked");
    page.run();
    // Space plays the run, and does not start another one.
    page.press(Key::Space);
    page.until("document.querySelector('#play').ariaLabel === 'Pause'");
    assert_eq!(page.get::<u32>("seen.press"), 2);
    page.press(Key::Space);
    page.until("document.querySelector('#play').ariaLabel === 'Play'");
    page.assert_silent();
}

#[test]
fn a_run_is_set_up_started_and_enlarged_by_keys_alone() {
    let page = Page::open_and_finish(FEW);
    tab_to(&page, "steps");
    let select_all = [Key::Control.into(), 'a'];
    page.press_keys(&select_all);
    page.press('6');
    tab_to(&page, "start");
    page.press(Key::Enter);
    page.finish(2);
    assert_eq!(page.get::<String>("document.querySelector('#timeline').max"), "6");
    for _ in 0..150 {
        page.press(Key::Tab);
        if focus(&page).last().is_some_and(|class| class.contains("cell")) {
            break;
        }
    }
    page.press(Key::Enter);
    page.until("document.querySelector('#enlarged').open");
    page.press(Key::Escape);
    page.until("!document.querySelector('#enlarged').open");
    // The focus is where it was.
    assert!(focus(&page).last().unwrap().contains("cell"));
}

#[test]
fn a_class_is_chosen_by_keys() {
    let page = Page::open_and_finish(FEW);
    let chip = "document.querySelector('#classes [data-label=\"3\"]')";
    page.call(&format!("{chip}.focus()"), &[]);
    let before: String = page.get(&format!("{chip}.getAttribute('aria-checked')"));
    page.press(Key::Space);
    page.until(&format!("{chip}.getAttribute('aria-checked') !== '{before}'"));
}
