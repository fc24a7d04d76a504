//! The page with a recorder in it.

use ddpm_tests::browser::Tab;
use serde::Deserialize;

use crate::Bench;

const RECORDER: &str = include_str!("recorder.js");

/// Waits inside of the page: to look at it again and again from outside would take its time.
const RUN: &str = "
    const end = new Promise((done) => {
        document.addEventListener('ddpm:end', () => setTimeout(done), { once: true });
    });
    document.querySelector('#start').click();
    return end;";

/// Nothing runs.
const AT_REST: &str = "['idle', 'done', 'cancelled', 'failed'].includes(\
    document.querySelector('#run-status').dataset.state)";

/// What a person asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// Name of the model.
    pub(crate) model: &'static str,
    /// How many samples.
    pub(crate) count: u32,
    /// Steps of each.
    pub(crate) steps: u32,
}

impl Settings {
    /// Pictures.
    pub(crate) const GLYPHS: Self = Self { model: "glyphs", count: 64, steps: 50 };
    /// Points of the plane.
    pub(crate) const POINTS: Self = Self { model: "toy", count: 1000, steps: 100 };
}

/// What was recorded of a run; times in ms.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    /// The press of the button.
    pub(crate) press: f64,
    /// The first preview is drawn.
    pub(crate) preview: f64,
    /// All is drawn.
    pub(crate) end: f64,
    /// Frames with something new.
    pub(crate) draws: Vec<f64>,
    /// Frames that the page was asked to make.
    pub(crate) frames: Vec<f64>,
    /// The request, in hex.
    pub(crate) request: String,
}

/// A page that is ready to run.
#[derive(Debug)]
pub(crate) struct Page {
    tab: Tab,
}

impl Page {
    /// Opens the page, waits for the run that it starts by itself, and sets the controls.
    pub(crate) fn open(bench: &Bench, settings: Settings) -> Self {
        let tab = bench.browser.open();
        tab.before_each_page(RECORDER);
        tab.goto(&format!("http://{}/", bench.server.address()));
        tab.until("document.body.dataset.ready === 'true'");
        tab.until("window.pageBench.end !== undefined");
        tab.set("#model", settings.model);
        tab.set("#count", &settings.count.to_string());
        tab.set("#steps", &settings.steps.to_string());
        tab.until(AT_REST);
        Self { tab }
    }

    /// Presses the button and waits for the end of the run.
    ///
    /// # Errors
    ///
    /// The run fails.
    pub(crate) fn run(&self) -> anyhow::Result<Run> {
        self.tab.call(RUN, &[]);
        self.tab.until(AT_REST);
        let state: String = self.tab.get("document.querySelector('#run-status').dataset.state");
        let notice = self.tab.text("#run-status");
        anyhow::ensure!(state == "done", "the run is {state}: {notice}");
        Ok(serde_json::from_value(self.tab.get("window.pageBench"))?)
    }

    /// Returns the tab.
    pub(crate) fn tab(&self) -> &Tab {
        &self.tab
    }
}
