//! Other programs open what is saved.

use serde_json::json;

use crate::files::{Saved, in_python};
use crate::stage::{FEW, POINTS, Page};

#[test]
fn pictures_animations_arrays_and_the_receipt_open_in_python() {
    let page = Page::open_and_finish(FEW);
    let saved = Saved::new(&page);
    let open = |button: &str| in_python(&saved.press(&page, button));

    let png = open("#save-png");
    assert_eq!((&png["format"], png["different"].as_u64()), (&json!("PNG"), Some(1)));
    assert!(png["colours"].as_u64() > Some(8), "{png}");
    let grid = open("#save-grid");
    assert_eq!(grid["format"], "PNG");
    assert!(grid["size"][0].as_u64() >= Some(32), "{grid}");

    let gif = open("#save-gif");
    assert_eq!(gif["format"], "GIF");
    // Ten steps; equal ones may be one frame.
    let frames = gif["times"].as_array().unwrap().len();
    assert!((8..=12).contains(&frames), "{gif}");
    assert!(gif["different"].as_u64() >= Some(8), "{gif}");
    let apng = open("#save-apng");
    assert_eq!(apng["format"], "PNG");
    assert!(apng["times"].as_array().unwrap().len() >= 8, "{apng}");
    assert!(apng["different"].as_u64() >= Some(8), "{apng}");

    let array = open("#save-npy");
    assert_eq!((&array["type"], &array["shape"]), (&json!("float32"), &json!([4, 3, 16, 16])));

    let receipt = open("#save-receipt");
    let text = receipt.to_string();
    let receipt = receipt.get("receipt").unwrap_or(&receipt);
    assert_eq!(receipt["model"], "glyphs", "{text}");
    // Protobuf's JSON writes 64 bits as text.
    assert_eq!(receipt["seed"], "7", "{text}");
    assert!(text.contains("programDigest") || text.contains("program_digest"), "{text}");
    page.assert_silent();
}

#[test]
fn points_are_saved_as_an_array_of_floats() {
    let page = Page::open_and_finish(POINTS);
    let saved = Saved::new(&page);
    let array = in_python(&saved.press(&page, "#save-npy"));
    assert_eq!((&array["type"], &array["shape"]), (&json!("float32"), &json!([200, 2])));
    let gif = in_python(&saved.press(&page, "#save-gif"));
    assert!(gif["different"].as_u64() >= Some(8), "{gif}");
    page.assert_silent();
}

#[test]
fn the_link_can_be_copied() {
    let page = Page::open_and_finish(FEW);
    let allow = json!({
        "origin": page.server().address(),
        "permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"],
    });
    page.devtools("Browser.grantPermissions", allow);
    page.click("#copy-link");
    let copied = page.poll("a link on the clipboard", || {
        let text = page.call("return navigator.clipboard.readText().catch(() => '')", &[]);
        text.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    });
    assert_eq!(copied, page.get::<String>("location.href"));
}
