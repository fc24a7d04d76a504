//! The page in a tab of the browser that all tests share.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ddpm_tests::browser::{Browser, Tab};

use crate::harness::TestServer;

/// Four glyphs in ten steps: a run of a moment.
pub(crate) const FEW: &str = "#model=glyphs&count=4&steps=10&seed=7";

/// Points in ten steps.
pub(crate) const POINTS: &str = "#model=toy&count=200&steps=10&seed=7";

/// A run that no test waits for.
pub(crate) const ENDLESS: &str = "#model=glyphs&count=16&steps=1000&seed=7";

/// What somebody prefers to whom moving pictures are a pain.
pub(crate) const LESS_MOTION: (&str, &str) = ("prefers-reduced-motion", "reduce");

/// Counts what happens on a page, from before its first script on.
const COUNTERS: &str = "
    window.seen = { press: 0, 'first-preview': 0, draw: 0, end: 0, faults: [] };
    for (const name of Object.keys(seen)) {
        document.addEventListener(`ddpm:${name}`, () => { seen[name] += 1; });
    }
    const fault = (text) => seen.faults.push(String(text));
    addEventListener('error', (event) => fault(event.message));
    addEventListener('unhandledrejection', (event) => fault(event.reason));
    document.addEventListener('securitypolicyviolation', (event) =>
        fault(`${event.violatedDirective}: ${event.blockedURI}`));";

/// What tests share, for as long as one of them runs.
struct Shared {
    browser: Arc<Browser>,
    server: TestServer,
}

/// The page. One test at a time has it, because only the tab in front is drawn.
pub(crate) struct Page {
    // Dropped in this order.
    tab: Tab,
    shared: Arc<Shared>,
    _turn: MutexGuard<'static, ()>,
}

fn shared() -> Arc<Shared> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let browser = Browser::start().unwrap_or_else(|error| panic!("{error:#}"));
        // While a server rests it measures what calls cost, larger ones for longer.
        let server = TestServer::start(&["--max-batch", "16"]);
        let new = Arc::new(Shared { browser, server });
        *shared = Arc::downgrade(&new);
        new
    })
}

impl Page {
    /// Opens an empty tab, for a page of another server than the one that tests share. It belongs
    /// to somebody who prefers less motion: the page follows a run for a second and more so that it
    /// can be watched, and most tests have no eyes.
    pub(crate) fn blank() -> Self {
        let page = Self::lively();
        page.prefer(&[LESS_MOTION]);
        page
    }

    /// Opens an empty tab of somebody who prefers nothing.
    pub(crate) fn lively() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        // Taken before the turn, so that it lives until the last test has had its own.
        let shared = shared();
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let tab = shared.browser.open();
        tab.before_each_page(COUNTERS);
        // The console is the browser's, and may hold what an earlier test provoked.
        let _ = tab.console();
        Self { tab, shared, _turn: turn }
    }

    /// Opens a link of the page and waits until its controls work.
    pub(crate) fn open(link: &str) -> Self {
        let page = Self::blank();
        page.visit(page.server(), link);
        page
    }

    /// Opens a link and waits for the end of the run that it starts.
    pub(crate) fn open_and_finish(link: &str) -> Self {
        let page = Self::open(link);
        page.finish(1);
        page
    }

    /// Opens a link at a server and waits until the controls work.
    #[track_caller]
    pub(crate) fn visit(&self, server: &TestServer, link: &str) {
        // Another hash alone would load nothing.
        self.goto("about:blank");
        self.goto(&format!("{}/{link}", server.address()));
        self.until("document.body.dataset.ready === 'true'");
    }

    /// Returns the server that tests share.
    pub(crate) fn server(&self) -> &TestServer {
        &self.shared.server
    }

    /// Waits until so many runs have ended since the page was loaded, and the last is done.
    #[track_caller]
    pub(crate) fn finish(&self, runs: u64) {
        self.until(&format!("seen.end >= {runs}"));
        assert_eq!(self.state(), "done", "{}", self.notice());
    }

    /// Presses the button that starts a run, and waits for its end.
    #[track_caller]
    pub(crate) fn run(&self) {
        let before: u64 = self.get("seen.end");
        self.click("#start");
        self.finish(before + 1);
    }

    /// Returns the state of the run.
    #[track_caller]
    pub(crate) fn state(&self) -> String {
        self.get("document.querySelector('#run-status').dataset.state")
    }

    /// Waits until the run has a state.
    #[track_caller]
    pub(crate) fn until_state(&self, state: &str) {
        self.until(&format!("document.querySelector('#run-status').dataset.state === '{state}'"));
    }

    /// Returns the last sentence for people.
    #[track_caller]
    pub(crate) fn notice(&self) -> String {
        self.text("#notice")
    }

    /// Waits until the page says something that contains one of these words; returns it.
    #[track_caller]
    pub(crate) fn notice_with(&self, words: &[&str]) -> String {
        let what = format!("a notice with one of {words:?}");
        let notice = self.poll(&what, || {
            let notice = self.notice().to_lowercase();
            words.iter().any(|word| notice.contains(&word.to_lowercase())).then_some(notice)
        });
        assert_is_a_sentence(&notice);
        notice
    }

    /// Returns the settings of the page as a link.
    #[track_caller]
    pub(crate) fn link(&self) -> String {
        self.get("location.hash")
    }

    /// Returns the hash of the picture of a run that has ended.
    #[track_caller]
    pub(crate) fn picture(&self) -> String {
        self.show_step("max");
        self.settled("#view")
    }

    /// Moves the timeline to a step, or to its end: `max`.
    #[track_caller]
    pub(crate) fn show_step(&self, step: &str) {
        let end: String = self.get("document.querySelector('#timeline').max");
        self.set("#timeline", if step == "max" { &end } else { step });
    }

    /// Waits until what was asked for is drawn: two frames of the screen later, a canvas is as it
    /// will stay. Returns its hash.
    #[track_caller]
    pub(crate) fn settled(&self, canvas: &str) -> String {
        let two_frames = "
            return new Promise((done) =>
                requestAnimationFrame(() => requestAnimationFrame(() => done(true))));";
        self.call(two_frames, &[]);
        self.canvas_hash(canvas)
    }

    /// Asserts that the console has no error or warning, and that nothing failed unseen.
    #[track_caller]
    pub(crate) fn assert_silent(&self) {
        let mut lines = self.console();
        lines.retain(|line| line.starts_with("SEVERE") || line.starts_with("WARNING"));
        assert!(lines.is_empty(), "{lines:#?}");
        assert_eq!(self.get::<Vec<String>>("seen.faults"), [""; 0]);
    }
}

impl Deref for Page {
    type Target = Tab;

    fn deref(&self) -> &Tab {
        &self.tab
    }
}

/// Asserts that a text was written for people.
#[track_caller]
pub(crate) fn assert_is_a_sentence(text: &str) {
    assert!(text.split_whitespace().count() >= 3, "{text:?} is no sentence");
    for remains in ["[object", "undefined", "NaN", "null", "Error:", "[invalid_argument]"] {
        assert!(!text.contains(remains), "{text:?} has {remains:?}");
    }
}
