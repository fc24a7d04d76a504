//! What a person does to a page: clicks, keys, files, a pointer that is dragged.

use std::path::Path;
use std::time::Duration;

use fantoccini::Locator;
use fantoccini::actions::{
    InputSource, KeyAction, KeyActions, MOUSE_BUTTON_LEFT, MouseActions, PointerAction,
};
use fantoccini::elements::Element;

use crate::browser::Tab;

impl Tab {
    #[track_caller]
    fn find(&self, css: &str) -> Element {
        self.wait_for(css, self.browser().client().find(Locator::Css(css)))
    }

    /// Clicks an element as a person does: it is scrolled into view, and must not be covered.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let element = self.find(css);
        self.wait_for(("click", css), element.click());
    }

    /// Sets the value of a field, a range or a list, as if a person had.
    #[track_caller]
    pub fn set(&self, css: &str, value: &str) {
        let script = "
            const field = document.querySelector(arguments[0]);
            field.value = arguments[1];
            field.dispatchEvent(new Event('input', { bubbles: true }));
            field.dispatchEvent(new Event('change', { bubbles: true }));
            return field.value;";
        self.call(script, &[css.into(), value.into()]);
    }

    /// Presses and releases a key: a letter, or one of `fantoccini::key::Key`.
    #[track_caller]
    pub fn press(&self, key: impl Into<char>) {
        self.press_keys(&[key.into()]);
    }

    /// Presses keys together and releases them: `[Key::Shift.into(), Key::Tab.into()]`.
    #[track_caller]
    pub fn press_keys(&self, keys: &[char]) {
        let mut actions = KeyActions::new("keyboard".into());
        for &value in keys {
            actions = actions.then(KeyAction::Down { value });
        }
        for &value in keys.iter().rev() {
            actions = actions.then(KeyAction::Up { value });
        }
        self.wait_for(("keys", keys), self.browser().client().perform_actions(actions));
    }

    /// Chooses a file, as in the dialogue that a browser opens.
    #[track_caller]
    pub fn upload(&self, css: &str, file: &Path) {
        let path = file.to_str().expect("the path is text");
        let element = self.find(css);
        self.wait_for(("upload", css), element.send_keys(path));
    }

    /// Drags the pointer over an element from one place to another, both as shares of its width
    /// and height.
    #[track_caller]
    pub fn drag(&self, css: &str, from: (f64, f64), to: (f64, f64)) {
        let script = "
            const element = document.querySelector(arguments[0]);
            element.scrollIntoView({ block: 'center', behavior: 'instant' });
            const { left, top, width, height } = element.getBoundingClientRect();
            return [left, top, width, height];";
        let place: Vec<f64> = serde_json::from_value(self.call(script, &[css.into()]))
            .unwrap_or_else(|error| panic!("{css}: {error}"));
        let point = |(x, y): (f64, f64)| (place[0] + x * place[2], place[1] + y * place[3]);
        let move_to = |(x, y): (f64, f64), duration| PointerAction::MoveTo { duration, x, y };
        let actions = MouseActions::new("mouse".into())
            .then(move_to(point(from), None))
            .then(PointerAction::Down { button: MOUSE_BUTTON_LEFT })
            .then(move_to(point(to), Some(Duration::from_millis(50))))
            .then(PointerAction::Up { button: MOUSE_BUTTON_LEFT });
        self.wait_for(("drag", css), self.browser().client().perform_actions(actions));
    }
}
