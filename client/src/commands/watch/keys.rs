//! Keys → what they ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use super::player::Action;

/// What the keys do, for the last line of the screen.
pub(super) const HELP: &str =
    "space pause, play   ← → step   Home End   x noisy or predicted   q quit";

/// How often the thread looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(50);

/// Inputs that may wait; more are dropped, as when a key is held down.
const WAITING: usize = 32;

/// What came from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Do(Action),
    /// Ctrl-C.
    Interrupt,
    /// The terminal has another size.
    Resized,
}

/// Inputs, until it is dropped.
#[derive(Debug)]
pub(super) struct Inputs {
    inputs: mpsc::Receiver<Input>,
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Inputs {
    /// Starts to read the terminal, on a thread of its own: reading blocks.
    pub(super) fn listen() -> std::io::Result<Self> {
        let (sender, inputs) = mpsc::channel(WAITING);
        let over = Arc::new(AtomicBool::new(false));
        let read = {
            let over = Arc::clone(&over);
            move || {
                while !over.load(Ordering::Relaxed) {
                    match event::poll(LOOK).and_then(|ready| ready.then(event::read).transpose()) {
                        Ok(Some(event)) => {
                            if let Some(input) = input(&event) {
                                // Full: lost.
                                let _ = sender.try_send(input);
                            }
                        }
                        Ok(None) => {}
                        // The terminal is gone; a signal says so too.
                        Err(_) => return,
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("keys".to_owned()).spawn(read)?;
        Ok(Self { inputs, over, thread: Some(thread) })
    }

    /// Waits for the next input; for ever once the terminal is gone.
    pub(super) async fn next(&mut self) -> Input {
        match self.inputs.recv().await {
            Some(input) => input,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Inputs {
    /// Waits for the thread: whatever is typed afterwards is for the shell.
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn input(event: &Event) -> Option<Input> {
    match event {
        Event::Resize(..) => Some(Input::Resized),
        Event::Key(key) if key.kind != KeyEventKind::Release => of_key(*key),
        _ => None,
    }
}

fn of_key(key: KeyEvent) -> Option<Input> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Input::Interrupt);
    }
    let action = match key.code {
        KeyCode::Char(' ' | 'p') => Action::PauseOrPlay,
        KeyCode::Left | KeyCode::Char('h') => Action::Back,
        KeyCode::Right | KeyCode::Char('l') => Action::Forward,
        KeyCode::Home | KeyCode::Char('g') => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Newest,
        KeyCode::Char('x') => Action::OtherKind,
        KeyCode::Char('q') | KeyCode::Esc => Action::Quit,
        _ => return None,
    };
    Some(Input::Do(action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Input> {
        input(&Event::Key(KeyEvent::new(code, modifiers)))
    }

    #[test]
    fn keys_do_what_the_last_line_says() {
        let plain = |code| key(code, KeyModifiers::NONE);
        for (code, action) in [
            (KeyCode::Char(' '), Action::PauseOrPlay),
            (KeyCode::Left, Action::Back),
            (KeyCode::Right, Action::Forward),
            (KeyCode::Home, Action::First),
            (KeyCode::End, Action::Newest),
            (KeyCode::Char('x'), Action::OtherKind),
            (KeyCode::Char('q'), Action::Quit),
            (KeyCode::Esc, Action::Quit),
        ] {
            assert_eq!(plain(code), Some(Input::Do(action)));
        }
        assert_eq!(plain(KeyCode::Char('z')), None);
        assert_eq!(key(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Input::Do(Action::Newest)));
    }

    #[test]
    fn ctrl_c_interrupts_and_a_key_counts_once() {
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Interrupt));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
        let mut released = KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE);
        released.kind = KeyEventKind::Release;
        assert_eq!(input(&Event::Key(released)), None);
        assert_eq!(input(&Event::Resize(80, 24)), Some(Input::Resized));
    }
}
