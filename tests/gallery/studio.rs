//! A server, a browser, and pictures of what it shows.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ddpm_pictures::{Picture, write_png};
use ddpm_tests::browser::{Browser, Tab};
use ddpm_tests::process::Process;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

/// What pictures are taken with.
pub(crate) struct Studio {
    // Dropped before the browser, whose runtime it lives on.
    server: Process,
    browser: Arc<Browser>,
    client: PathBuf,
    folder: TempDir,
}

impl Studio {
    /// Starts a server and a browser.
    ///
    /// # Errors
    ///
    /// A program is missing or does not start.
    pub(crate) fn new(binaries: Option<&Path>) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let beside = this.parent().unwrap_or(Path::new("."));
        let program = |name: &str| {
            let path = binaries.unwrap_or(beside).join(name);
            ensure!(path.is_file(), "{} is not there: `make gallery` builds it", path.display());
            Ok(std::path::absolute(path)?)
        };
        let (server, client) = (program("ddpm-server")?, program("ddpm")?);
        let folder = tempfile::tempdir()?;
        let browser = Browser::start()?;
        let mut command = Command::new(server);
        command.args(["--listen", "127.0.0.1:0"]);
        let log = folder.path().join("server.log");
        let server = browser.block_on(Process::start(command, &log))?;
        Ok(Self { server, browser, client, folder })
    }

    /// Returns the URL of the server.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    /// Returns the path of the command `ddpm`.
    pub(crate) fn client(&self) -> &Path {
        &self.client
    }

    /// Opens a tab of a size in CSS pixels, for a person who prefers `dark` or `light` and nothing
    /// that moves by itself.
    pub(crate) fn tab(&self, scheme: &str, (width, height): (u32, u32), scale: f64) -> Tab {
        let tab = self.browser.open();
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false,
        });
        tab.devtools("Emulation.setDeviceMetricsOverride", size);
        tab.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        tab
    }

    /// Takes a picture of a page that is written here.
    ///
    /// # Errors
    ///
    /// It cannot be written or shown.
    pub(crate) fn sheet(&self, html: &str, width: u32) -> anyhow::Result<Vec<u8>> {
        let path = self.folder.path().join("sheet.html");
        std::fs::write(&path, html)?;
        let tab = self.tab("dark", (width, 200), 1.0);
        tab.goto(&format!("file://{}", path.display()));
        png(&picture(&tab, Some("body"))?)
    }
}

/// Takes a picture of a tab, or of an element of it.
///
/// # Errors
///
/// The browser gives none.
pub(crate) fn picture(tab: &Tab, element: Option<&str>) -> anyhow::Result<Picture> {
    // Everything that was asked for is drawn two frames later.
    let frames =
        "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))";
    tab.call(frames, &[]);
    let mut params = json!({ "format": "png" });
    if let Some(css) = element {
        params["clip"] = area(tab, css);
        params["captureBeyondViewport"] = true.into();
    }
    let answer = tab.devtools("Page.captureScreenshot", params);
    let data = answer["data"].as_str().context("a picture of the tab")?;
    decode(&BASE64_STANDARD.decode(data)?)
}

/// Returns where on the page an element is.
fn area(tab: &Tab, css: &str) -> Value {
    let script = "
        const element = document.querySelector(arguments[0]);
        const { left, top, width, height } = element.getBoundingClientRect();
        return { x: left + scrollX, y: top + scrollY, width, height, scale: 1 };";
    tab.call(script, &[css.into()])
}

fn decode(file: &[u8]) -> anyhow::Result<Picture> {
    let mut decoder = png::Decoder::new(Cursor::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info()?;
    let (width, height) = reader.info().size();
    let channels = reader.output_color_type().0.samples();
    let mut pixels = vec![0; (width * height) as usize * channels];
    reader.next_frame(&mut pixels)?;
    // Pages are opaque.
    let rgb = pixels.chunks_exact(channels).flat_map(|pixel| &pixel[..3]).copied().collect();
    Ok(Picture::from_pixels(width, height, 3, rgb)?)
}

/// Encodes a picture.
///
/// # Errors
///
/// None that a picture of a page has.
pub(crate) fn png(picture: &Picture) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    write_png(&mut file, picture, &[])?;
    Ok(file)
}
