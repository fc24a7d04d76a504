//! `ddpm watch` on a terminal, which a sheet of HTML shows.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::io::write;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use vt100::{Cell, Color, Parser, Screen};

use crate::studio::Studio;

const COLUMNS: u16 = 84;
const ROWS: u16 = 44;

/// Colours of what names none.
const FRONT: &str = "#ddd";
const BACK: &str = "#111";

/// Cells are twice as high as wide, as half blocks need it.
const STYLE: &str = "
    body { background: #111; margin: 0; padding: 12px; width: max-content }
    pre { font: 14px/16px monospace; margin: 0 }
    span { display: inline-block; height: 16px; vertical-align: top }";

/// Draws glyphs that form in a terminal.
pub(crate) fn watch(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    let labels = "0,1,2,3,4,5,6,7,8,9,circle,square,triangle,plus,star,heart";
    let args = ["watch", "glyphs", "-n", "16", "--label", labels, "--steps", "50", "--seed", "7"];
    let mut terminal = Terminal::start(studio, &args)?;
    terminal.wait_for("done: 16 samples")?;
    // Back to where shapes can be seen in the noise.
    terminal.press(&[b'h'; 24])?;
    terminal.wait_for("step 26 of 50")?;
    let sheet = html(terminal.parser.screen());
    let body = format!("<!DOCTYPE html><style>{STYLE}</style><pre>{sheet}</pre>");
    studio.sheet(&body, 1000)
}

/// A program on a terminal; it ends when this is dropped.
struct Terminal {
    child: Child,
    device: OwnedFd,
    output: Receiver<Vec<u8>>,
    parser: Parser,
}

impl Terminal {
    fn start(studio: &Studio, args: &[&str]) -> anyhow::Result<Self> {
        let device = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&device)?;
        unlockpt(&device)?;
        let size = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&device, size)?;
        let path = ptsname(&device, Vec::new())?.into_string()?;
        let side = || -> anyhow::Result<Stdio> {
            let file = File::options().read(true).write(true).open(&path)?;
            Ok(OwnedFd::from(file).into())
        };
        let mut command = Command::new(studio.client());
        command.args(args).env("DDPM_SERVER", studio.url()).env("TERM", "xterm-256color");
        let child = command.stdin(side()?).stdout(side()?).stderr(side()?).spawn()?;
        let output = read(File::from(device.try_clone()?));
        Ok(Self { child, device, output, parser: Parser::new(ROWS, COLUMNS, 0) })
    }

    /// Waits until the screen shows something.
    fn wait_for(&mut self, text: &str) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.parser.screen().contents().contains(text) {
            ensure!(Instant::now() < end, "{text:?} is not in {}", self.parser.screen().contents());
            let bytes = self.output.recv_timeout(Duration::from_secs(20));
            let bytes = bytes.with_context(|| self.parser.screen().contents())?;
            self.parser.process(&bytes);
            // "How are you?", which every terminal answers: "well".
            if bytes.windows(4).any(|four| four == b"\x1b[5n") {
                self.press(b"\x1b[0n")?;
            }
        }
        Ok(())
    }

    fn press(&self, keys: &[u8]) -> anyhow::Result<()> {
        ensure!(write(&self.device, keys)? == keys.len(), "the terminal takes no keys");
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what a program writes until it has left.
fn read(mut device: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = device.read(&mut bytes) {
            if sender.send(bytes[..length].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn html(screen: &Screen) -> String {
    let mut sheet = String::new();
    for row in 0..ROWS {
        let cells = (0..COLUMNS).filter_map(|column| screen.cell(row, column));
        for cell in cells {
            let _ = write!(sheet, "<span style='{}'>{}</span>", style(cell), escaped(letter(cell)));
        }
        sheet.push('\n');
    }
    sheet
}

fn letter(cell: &Cell) -> &str {
    if cell.has_contents() { cell.contents() } else { " " }
}

fn style(cell: &Cell) -> String {
    let front = colour(cell.fgcolor(), FRONT);
    let back = colour(cell.bgcolor(), BACK);
    let (front, back) = if cell.inverse() { (back, front) } else { (front, back) };
    let weight = if cell.bold() { ";font-weight:bold" } else { "" };
    format!("color:{front};background:{back}{weight}")
}

/// Formats a colour for a style; `default` is that of the sheet.
fn colour(colour: Color, default: &str) -> String {
    match colour {
        Color::Default => default.to_owned(),
        Color::Rgb(red, green, blue) => format!("rgb({red},{green},{blue})"),
        Color::Idx(index) => ansi(index).to_owned(),
    }
}

/// The colours that `ddpm` uses of the sixteen that terminals name.
fn ansi(index: u8) -> &'static str {
    match index {
        1 | 9 => "#e06c75",
        2 | 10 => "#98c379",
        3 | 11 => "#e5c07b",
        4 | 12 => "#61afef",
        5 | 13 => "#c678dd",
        6 | 14 => "#56b6c2",
        8 => "#444",
        _ => FRONT,
    }
}

/// Makes HTML of a text.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
