//! A browser with a profile of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::geteuid;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::browser::driver::{Driver, find};
use crate::browser::tab::Tab;

/// Size of the window, so that pictures of a page can be compared.
const WINDOW: &str = "--window-size=1280,900";

/// Arguments that keep a browser to what a test asks of it: nothing is fetched, measured, offered
/// or slowed down beside the page.
const QUIET: &[&str] = &[
    "--headless=new",
    WINDOW,
    "--hide-scrollbars",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--metrics-recording-only",
    "--no-pings",
    "--password-store=basic",
    "--use-mock-keychain",
    "--force-color-profile=srgb",
    "--lang=en",
];

/// Headless Chromium.
#[derive(Debug)]
pub struct Browser {
    // Dropped in this order: the session, what drives it, the processes.
    client: Client,
    runtime: Runtime,
    _driver: Driver,
}

impl Browser {
    /// Starts a browser.
    ///
    /// # Errors
    ///
    /// Chromium or its driver is missing or does not start.
    pub fn start() -> anyhow::Result<Arc<Self>> {
        let driver = Driver::start()?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let Value::Object(capabilities) = capabilities(&driver)? else {
            unreachable!("it is an object")
        };
        let client = runtime.block_on(async {
            let mut builder = ClientBuilder::new(HttpConnector::new());
            builder.capabilities(capabilities).connect(driver.address()).await
        });
        let client = client.context("Chromium does not start")?;
        Ok(Arc::new(Self { client, runtime, _driver: driver }))
    }

    /// Opens a tab. Tabs of one browser are used one after another: the latest is in front.
    #[must_use]
    pub fn open(self: &Arc<Self>) -> Tab {
        Tab::open(Arc::clone(self))
    }

    /// Waits for a future, such as a call of the server beside the page.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Lets time pass between two looks at a page.
    pub fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }
}

fn capabilities(driver: &Driver) -> anyhow::Result<Value> {
    let mut args: Vec<String> = QUIET.iter().map(|&arg| arg.into()).collect();
    args.push(format!("--user-data-dir={}", driver.folder().join("profile").display()));
    // Chromium's sandbox needs a user.
    if geteuid().is_root() {
        args.push("--no-sandbox".into());
    }
    Ok(json!({
        "browserName": "chrome",
        "goog:loggingPrefs": { "browser": "ALL" },
        "goog:chromeOptions": {
            "binary": find("chromium")?,
            "args": args,
            "prefs": {
                "download.default_directory": driver.folder(),
                "download.prompt_for_download": false,
                "profile.default_content_setting_values.automatic_downloads": 1,
            },
        },
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Instant;

    use super::*;

    /// Returns the command lines of the processes that were told of a folder.
    fn processes(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let lines = entries.filter_map(|process| fs::read(process.join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
        lines.filter(|line| line.contains(folder.to_str().unwrap())).collect()
    }

    #[test]
    fn a_browser_draws_says_what_went_wrong_and_leaves_no_process_and_no_file() {
        let browser = Browser::start().unwrap();
        let folder = browser._driver.folder().to_owned();
        assert!(!processes(&folder).is_empty());
        let tab = browser.open();
        tab.goto("data:text/html,<canvas id=c width=4 height=3></canvas><input id=i><p id=p>");
        tab.call("document.querySelector('#c').getContext('2d').fillRect(0, 0, 2, 3)", &[]);
        assert_eq!(tab.canvas_colours("#c"), 2);
        assert!(tab.canvas_hash("#c").starts_with("4 x 3, "));
        tab.click("#i");
        tab.press('a');
        tab.press_keys(&[fantoccini::key::Key::Shift.into(), 'B']);
        tab.call(
            "setTimeout(() => { document.querySelector('#p').textContent = 'late'; }, 50)",
            &[],
        );
        tab.until("document.querySelector('#p').textContent === 'late'");
        assert_eq!(tab.get::<String>("document.querySelector('#i').value"), "aB");
        tab.call("setTimeout(() => { throw new Error('told'); }); console.error('said')", &[]);
        tab.poll("what the console says", || {
            let lines = tab.console().join("\n");
            (lines.contains("told") || lines.contains("said")).then_some(())
        });
        drop(tab);
        drop(browser);
        let start = Instant::now();
        // The kernel takes a moment for the last of them.
        while !processes(&folder).is_empty() {
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", processes(&folder));
        }
        assert!(!folder.exists());
    }
}
