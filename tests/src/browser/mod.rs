//! A real browser: headless Chromium, driven over WebDriver.
//!
//! Everything blocks and panics when it fails, with what was tried: a test is a plain function
//! that stops at the first surprise. Nothing sleeps for a fixed time; what takes a while is waited
//! for until a deadline. Driver and browser end with whoever started them, however that went.

// The process.
mod driver;

// The session, and what Chromium knows beyond the standard.
mod command;
mod session;

pub use session::Browser;

// A page in it.
mod canvas;
mod input;
mod tab;

pub use tab::Tab;
