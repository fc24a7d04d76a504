//! The page in a real browser: Debian's Chromium at the real server.
//!
//! One promise to the people before it per module:
//!
//! * `watching`: a run starts by itself, moves and completes;
//! * `timeline`: what came can be gone through, back and forth, also while the rest arrives;
//! * `repeating`: a seed and a link give the same picture again;
//! * `cancelling`: who cancels frees what the run held;
//! * `restarting`: a server that dies in the middle costs time and no sample;
//! * `saving`: other programs open what is saved;
//! * `editing`: from a picture, around what is known of it;
//! * `forward`: noise by hand, and the way back from there;
//! * `comparing`: two runs side by side and what differs;
//! * `narrow`: nothing is out of reach on a phone;
//! * `keyboard`: nothing needs a pointer;
//! * `accessibility`: axe-core finds nothing;
//! * `refusals`: what is wrong is said in a sentence, where it is, and the page goes on;
//! * `hostile`: what a model package or a link says stays text.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

// The other end-to-end tests use the rest of it.
#[allow(dead_code)]
#[path = "../harness.rs"]
mod harness;

mod stage;

mod files;

mod watching;

mod timeline;

mod repeating;

mod cancelling;

mod restarting;

mod saving;

mod editing;

mod forward;

mod comparing;

mod narrow;

mod keyboard;

mod accessibility;

mod refusals;

mod hostile;
