//! `ddpm watch` on a terminal, and without one.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::harness::{TestServer, binary};

/// A program on a terminal of 80 x 24 characters.
struct Terminal {
    child: Child,
    keys: File,
    /// What the terminal shows.
    emulator: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn start(server: &TestServer, args: &[&str]) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let side = || -> Stdio {
            let file = File::options().read(true).write(true).open(&path).unwrap();
            OwnedFd::from(file).into()
        };
        let mut command = Command::new(binary("ddpm"));
        command.args(args).env("DDPM_SERVER", server.address()).env("TERM", "xterm-256color");
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let emulator = Arc::new(Mutex::new(vt100::Parser::new(24, 80, 0)));
        let mut reader = File::from(terminal.try_clone().unwrap());
        let mut answers = File::from(terminal.try_clone().unwrap());
        let sink = Arc::clone(&emulator);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match reader.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(len) => {
                        sink.lock().unwrap().process(&bytes[..len]);
                        // "How are you?", which every terminal answers: "well".
                        if bytes[..len].windows(4).any(|four| four == b"\x1b[5n") {
                            let _ = answers.write_all(b"\x1b[0n");
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // The program has left.
                    Err(_) => return,
                }
            }
        });
        Self { child, keys: File::from(terminal), emulator }
    }

    fn emulator(&self) -> MutexGuard<'_, vt100::Parser> {
        self.emulator.lock().unwrap()
    }

    fn text(&self) -> String {
        self.emulator().screen().contents()
    }

    /// Whether a program has taken the whole screen.
    fn is_taken(&self) -> bool {
        self.emulator().screen().alternate_screen()
    }

    /// Waits until the screen shows something.
    fn wait_for(&self, text: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.text().contains(text) {
            assert!(Instant::now() < end, "{text:?} is not in {}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end; returns how the program ended.
    fn end(&mut self) -> ExitStatus {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last is still on its way.
                thread::sleep(Duration::from_millis(100));
                return status;
            }
            assert!(Instant::now() < end, "it does not end: {}", self.text());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns how many cells of the screen have colours of pictures.
fn coloured(screen: &vt100::Screen) -> usize {
    let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
    let cells = cells.filter_map(|(row, column)| screen.cell(row, column));
    cells.filter(|cell| matches!(cell.bgcolor(), vt100::Color::Rgb(..))).count()
}

#[test]
fn samples_form_on_the_screen_and_q_gives_it_back() {
    let server = TestServer::start(&[]);
    let args = ["watch", "glyphs", "-n", "4", "--steps", "10", "--seed", "5"];
    let mut terminal = Terminal::start(&server, &args);
    terminal.wait_for("done: 4 samples, 0 failed, 40 evals");
    terminal.wait_for("step 10 of 10");
    assert!(terminal.is_taken() && terminal.text().contains("q quit"));
    // Half blocks: a square of 20 x 40.
    let shown = coloured(terminal.emulator().screen());
    assert!(shown > 700, "{shown} cells");
    let last = terminal.emulator().screen().contents_formatted();
    // Two steps back, and the noisy samples instead of the predictions.
    terminal.press("hh");
    terminal.wait_for("step 8 of 10");
    terminal.wait_for("paused");
    terminal.press("x");
    terminal.wait_for("x_t, the noisy samples");
    assert_ne!(terminal.emulator().screen().contents_formatted(), last);
    terminal.press("q");
    let status = terminal.end();
    let text = terminal.text();
    assert!(status.success() && !terminal.is_taken(), "{text}");
    assert!(text.contains("ddpm sample glyphs --seed 5"), "{text}");
}

#[test]
fn ctrl_c_gives_the_screen_back_and_ends_the_run_on_the_server() {
    let server = TestServer::start(&[]);
    let args = ["watch", "glyphs", "-n", "64", "--steps", "1000"];
    let mut terminal = Terminal::start(&server, &args);
    terminal.wait_for("of 1000");
    terminal.press("\x03");
    let status = terminal.end();
    assert_eq!(status.code(), Some(130), "{}", terminal.text());
    assert!(!terminal.is_taken());
    let requests = || {
        let mut status = Command::new(binary("ddpm"));
        let output = status.args(["status", "--json"]).env("DDPM_SERVER", server.address());
        let report: serde_json::Value =
            serde_json::from_slice(&output.output().unwrap().stdout).unwrap();
        report["load"]["requests"].as_u64().unwrap()
    };
    let end = Instant::now() + Duration::from_secs(10);
    while requests() > 0 {
        assert!(Instant::now() < end, "the server goes on");
    }
}

#[test]
fn without_a_terminal_there_is_a_line_per_step() {
    let server = TestServer::start(&[]);
    let run = |args: &[&str]| {
        let mut command = Command::new(binary("ddpm"));
        command.args(["watch", "toy", "-n", "8", "--steps", "4", "--seed", "1"]).args(args);
        let output = command.env("DDPM_SERVER", server.address()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = run(&[]);
    let steps: Vec<_> = lines.lines().filter(|line| line.starts_with("step ")).collect();
    assert_eq!(steps.len(), 4, "{lines}");
    assert!(steps[3].starts_with("step 4 of 4, noise 0.000"), "{lines}");
    assert!(!lines.contains('\x1b'));
    let objects: Vec<serde_json::Value> =
        run(&["--json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = objects.iter().map(|object| object["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["accepted", "step", "step", "step", "step", "completed"]);
}

#[test]
fn a_model_that_does_not_exist_is_an_error_and_no_screen() {
    let server = TestServer::start(&[]);
    let mut terminal = Terminal::start(&server, &["watch", "gliphs"]);
    let status = terminal.end();
    let text = terminal.text();
    assert_eq!(status.code(), Some(5), "{text}");
    assert!(!terminal.is_taken() && text.contains("gliphs"), "{text}");
}
