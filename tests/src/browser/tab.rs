//! A tab: where it goes, what runs in it, what is waited for.

use std::fmt::Debug;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fantoccini::error::CmdError;
use fantoccini::wd::WindowHandle;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::browser::Browser;
use crate::browser::command::Extension;

/// How long a page may take for what it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a page is looked at.
const GLANCE: Duration = Duration::from_millis(25);

/// A tab; closed when it is dropped.
#[derive(Debug)]
pub struct Tab {
    browser: Arc<Browser>,
    handle: WindowHandle,
    /// The empty tab that keeps the browser open.
    anchor: WindowHandle,
}

impl Tab {
    pub(super) fn open(browser: Arc<Browser>) -> Self {
        let client = browser.client();
        let (handle, anchor) = browser.block_on(async {
            let anchor = client.window().await.expect("a window is open");
            let new = client.new_window(true).await.expect("a tab opens");
            client.switch_to_window(new.handle.clone()).await.expect("the tab is there");
            (new.handle, anchor)
        });
        Self { browser, handle, anchor }
    }

    /// Returns the browser that it is a tab of.
    #[must_use]
    pub fn browser(&self) -> &Arc<Browser> {
        &self.browser
    }

    /// Waits for a command of the driver.
    #[track_caller]
    pub(super) fn wait_for<T>(
        &self,
        what: impl Debug,
        command: impl Future<Output = Result<T, CmdError>>,
    ) -> T {
        match self.browser.block_on(command) {
            Ok(value) => value,
            Err(error) => panic!("{what:?}: {error}"),
        }
    }

    /// Opens an address and waits until its page is loaded.
    #[track_caller]
    pub fn goto(&self, url: &str) {
        self.wait_for(url, self.browser.client().goto(url));
    }

    /// Loads the page again.
    #[track_caller]
    pub fn reload(&self) {
        self.wait_for("reload", self.browser.client().refresh());
    }

    /// Runs the body of a function and returns what it returns; a promise is awaited.
    ///
    /// * `args`: its `arguments`.
    #[track_caller]
    pub fn call(&self, script: &str, args: &[Value]) -> Value {
        self.wait_for(head(script), self.browser.client().execute(script, args.to_vec()))
    }

    /// Returns the value of an expression.
    #[track_caller]
    pub fn get<T: DeserializeOwned>(&self, expression: &str) -> T {
        let value = self.call(&format!("return ({expression});"), &[]);
        let text = value.to_string();
        serde_json::from_value(value)
            .unwrap_or_else(|error| panic!("{expression}: {error}: {text}"))
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub fn until(&self, condition: &str) {
        self.until_within(PATIENCE, condition);
    }

    /// Waits until an expression is true, no longer than a time.
    #[track_caller]
    pub fn until_within(&self, limit: Duration, condition: &str) {
        let script = format!("return Boolean({condition});");
        self.poll_within(limit, condition, || (self.call(&script, &[]) == true).then_some(()));
    }

    /// Asks again and again until there is an answer.
    #[track_caller]
    pub fn poll<T>(&self, what: &str, ask: impl FnMut() -> Option<T>) -> T {
        self.poll_within(PATIENCE, what, ask)
    }

    #[track_caller]
    fn poll_within<T>(&self, limit: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
            assert!(Instant::now() < end, "not within {limit:?}: {what}\n{}", self.summary());
            self.browser.pause(GLANCE);
        }
    }

    /// Returns the words of the page, for the message of a failure.
    fn summary(&self) -> String {
        let words = "return document.body?.innerText.replace(/\\s+/g, ' ').slice(0, 1500)";
        format!("the page says: {}\nthe console: {:?}", self.call(words, &[]), self.console())
    }

    /// Returns the text of an element.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        let script = "return document.querySelector(arguments[0]).textContent.trim()";
        let text = self.call(script, &[css.into()]);
        text.as_str().unwrap_or_else(|| panic!("{css} has no text")).to_owned()
    }

    /// Returns an attribute of an element.
    #[track_caller]
    pub fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let script = "return document.querySelector(arguments[0]).getAttribute(arguments[1])";
        self.call(script, &[css.into(), name.into()]).as_str().map(str::to_owned)
    }

    /// Takes the messages of the console since the last time, each with its level.
    #[must_use]
    pub fn console(&self) -> Vec<String> {
        let entries =
            self.wait_for("console", self.browser.client().issue_cmd(Extension::console()));
        let line = |entry: &Value| {
            let part = |name| entry[name].as_str().unwrap_or_default();
            format!("{}: {}", part("level"), part("message"))
        };
        entries.as_array().map(|entries| entries.iter().map(line).collect()).unwrap_or_default()
    }

    /// Calls a method of the DevTools protocol.
    #[track_caller]
    #[allow(clippy::needless_pass_by_value, reason = "it is written in place")]
    pub fn devtools(&self, method: &str, params: Value) -> Value {
        let command = Extension::devtools(method, &params);
        self.wait_for(method, self.browser.client().issue_cmd(command))
    }

    /// Runs a script before those of each page that is opened from here on.
    pub fn before_each_page(&self, script: &str) {
        self.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }));
    }

    /// Gives the tab the size of a device that is touched, in CSS pixels.
    pub fn become_phone(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 2, "mobile": true,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size);
    }

    /// Sets what a person prefers, such as `("prefers-color-scheme", "dark")`.
    pub fn prefer(&self, features: &[(&str, &str)]) {
        let features: Vec<Value> =
            features.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Says where downloads go.
    pub fn download_to(&self, folder: &Path) {
        let place = json!({ "behavior": "allow", "downloadPath": folder });
        self.devtools("Browser.setDownloadBehavior", place);
    }

    /// Writes a picture of what the tab shows, as PNG.
    pub fn screenshot(&self, path: &Path) {
        let picture = self.wait_for("screenshot", self.browser.client().screenshot());
        fs::write(path, picture).expect("the picture can be written");
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        let client = self.browser.client();
        // A test may have failed because the browser is gone.
        let _ = self.browser.block_on(async {
            client.switch_to_window(self.handle.clone()).await?;
            client.close_window().await?;
            client.switch_to_window(self.anchor.clone()).await
        });
    }
}

/// Returns the beginning of a script, for messages.
fn head(script: &str) -> String {
    script.chars().take(200).collect()
}
