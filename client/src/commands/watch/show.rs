//! A run on the screen.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ddpm_client::pictures::{Picture, grid, picture_of};
use ddpm_client::{
    Client, Completed, Data, Error, Event, Generation, ModelKind, PreviewKind, Progress, Sample,
};
use ddpm_console::quoted;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::Watched;
use super::history::History;
use super::keys::{Input, Inputs};
use super::player::{Action, Player};
use super::screen::{Content, Looks, Screen};
use crate::commands::output;
use crate::stop;

/// Pause between two drawings.
const FRAME: Duration = Duration::from_millis(33);

/// Events that wait to be looked at.
const WAITING: usize = 64;

/// Steps whose points stay as a trail.
const TRAIL: usize = 6;

/// Pixels between the samples of a grid.
const PADDING: u32 = 1;

/// How the viewing ended.
enum Ended {
    /// By the key for it.
    Quit,
    /// By Ctrl-C or a signal; the exit code.
    Signal(u8),
}

/// Shows the run until somebody quits.
pub(super) async fn run(client: &Client, watched: Watched) -> Result<ExitCode, Error> {
    let mut events = Events::start(client.generate_resumable(watched.request.clone()));
    let mut viewing = Viewing::new(watched);
    let ended = {
        let mut screen = Screen::open().map_err(terminal_error)?;
        let mut inputs = Inputs::listen().map_err(terminal_error)?;
        view(&mut screen, &mut inputs, &mut events, &mut viewing).await
    };
    drop(events);
    output::print(&viewing.farewell())?;
    match ended? {
        Ended::Signal(code) => Ok(ExitCode::from(code)),
        Ended::Quit => Ok(if viewing.is_flawed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }),
    }
}

/// The events of a run, read by a task of its own: the next one is waited for however often the
/// screen is drawn meanwhile. The run ends when this is dropped.
struct Events {
    events: mpsc::Receiver<Result<Event, Error>>,
    _reader: JoinSet<()>,
}

impl Events {
    fn start(mut generation: Generation) -> Self {
        let (sender, events) = mpsc::channel(WAITING);
        let mut reader = JoinSet::new();
        reader.spawn(async move {
            while let Some(event) = generation.next().await.transpose() {
                let is_error = event.is_err();
                if sender.send(event).await.is_err() || is_error {
                    return;
                }
            }
        });
        Self { events, _reader: reader }
    }

    /// Waits for the next event.
    async fn next(&mut self) -> Result<Event, Error> {
        let ended = || Error::Interrupted("it ended without `completed`".to_owned());
        self.events.recv().await.unwrap_or_else(|| Err(ended()))
    }
}

fn terminal_error(source: std::io::Error) -> Error {
    Error::File { action: "draw on", path: "the terminal (--plain prints lines)".into(), source }
}

async fn view(
    screen: &mut Screen,
    inputs: &mut Inputs,
    events: &mut Events,
    viewing: &mut Viewing,
) -> Result<Ended, Error> {
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let signal = stop::signalled();
    tokio::pin!(signal);
    let mut changed = true;
    loop {
        tokio::select! {
            biased;
            code = &mut signal => return Ok(Ended::Signal(code)),
            input = inputs.next() => match input {
                Input::Interrupt => return Ok(Ended::Signal(130)),
                Input::Do(Action::Quit) => return Ok(Ended::Quit),
                Input::Do(action) => {
                    viewing.act(action, Instant::now());
                    changed = true;
                }
                Input::Resized => changed = true,
            },
            _ = frames.tick() => {
                changed |= viewing.pass(Instant::now());
                if std::mem::take(&mut changed) {
                    screen.show(&viewing.content()?).map_err(terminal_error)?;
                }
            }
            event = events.next(), if viewing.is_running() => {
                viewing.take(event?);
                changed = true;
            }
        }
    }
}

/// What has happened, and what is looked at.
#[derive(Debug)]
struct Viewing {
    watched: Watched,
    kind: PreviewKind,
    history: History,
    player: Player,
    seed: Option<u64>,
    status: String,
    completed: Option<Completed>,
}

impl Viewing {
    fn new(watched: Watched) -> Self {
        Self {
            kind: watched.kind,
            history: History::new(&watched.indices),
            watched,
            player: Player::default(),
            seed: None,
            status: "waiting for the server".to_owned(),
            completed: None,
        }
    }

    fn is_running(&self) -> bool {
        self.completed.is_none()
    }

    /// Returns whether a sample failed or was cut off.
    fn is_flawed(&self) -> bool {
        self.completed.is_some_and(|completed| completed.failed + completed.unfinished > 0)
    }

    fn act(&mut self, action: Action, now: Instant) {
        if action == Action::OtherKind {
            self.kind = match self.kind {
                PreviewKind::Xt => PreviewKind::X0,
                PreviewKind::X0 => PreviewKind::Xt,
            };
        }
        self.player.act(action, &self.history.steps(), now);
    }

    fn pass(&mut self, now: Instant) -> bool {
        self.player.pass(&self.history.steps(), now)
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Accepted(accepted) => {
                self.seed = Some(accepted.receipt.seed);
                self.status = format!("accepted, {} samples are ahead", accepted.queue_position);
            }
            Event::Progress(progress) => self.status = told(&progress),
            Event::Previews(previews) => self.history.record(previews),
            Event::SampleError(error) => {
                self.status = format!("sample {} failed: {}", error.index, error.message);
            }
            Event::Interrupted(interruption) => {
                self.status = format!(
                    "{}; trying again in {:.1} s",
                    interruption.error,
                    interruption.pause.as_secs_f64()
                );
            }
            Event::Samples(_) => {}
            Event::Completed(completed) => {
                self.status = format!(
                    "done: {} samples, {} failed, {} evals",
                    completed.samples, completed.failed, completed.evals
                );
                self.completed = Some(completed);
            }
        }
    }

    /// Returns what is on the screen now.
    fn content(&self) -> Result<Content, Error> {
        let step = self.player.shown(&self.history.steps());
        let num_steps = self.history.num_steps();
        let what = match self.kind {
            PreviewKind::Xt => "x_t, the noisy samples",
            PreviewKind::X0 => "x_0, the predictions",
        };
        let seed = self.seed.map_or_else(String::new, |seed| format!(", seed {seed}"));
        let name = quoted(&self.watched.model.name);
        let title = format!("{name}, {} samples{seed}: {what}", self.watched.samples);
        let noise = self.history.noise_level(step);
        let noise = noise.map_or_else(String::new, |level| format!(", noise {level:.3}"));
        let paused = if self.player.is_paused() { ", paused" } else { "" };
        Ok(Content {
            title,
            status: self.status.clone(),
            progress: f64::from(step) / f64::from(num_steps.max(1)),
            step: format!("step {step} of {num_steps}{noise}{paused}"),
            looks: self.looks(step)?,
        })
    }

    fn looks(&self, step: u32) -> Result<Looks, Error> {
        let shown = self.history.at(self.kind, step);
        if shown.iter().all(Option::is_none) {
            return Ok(Looks::Nothing);
        }
        match self.watched.model.kind {
            ModelKind::Image => {
                let cells = shown.into_iter().map(|sample| sample.map(picture_of).transpose());
                let cells = cells.collect::<Result<Vec<Option<Picture>>, Error>>()?;
                Ok(Looks::Picture(grid(&cells, 1, PADDING)?))
            }
            ModelKind::Points2d => Ok(self.points(&shown, step)),
        }
    }

    fn points(&self, shown: &[Option<&Sample>], step: u32) -> Looks {
        let steps = self.history.steps();
        let place = steps.partition_point(|other| *other < step);
        let before = &steps[place.saturating_sub(TRAIL)..place];
        let trail = before.iter().flat_map(|step| points(&self.history.at(self.kind, *step)));
        let trail: Vec<[f32; 2]> = trail.collect();
        let now = points(shown);
        // Of all noisy samples: the plane must not move under the points, and early predictions are
        // far away.
        let all = self.history.extent(PreviewKind::Xt);
        Looks::Points { now, trail, bound: f64::from(all.max(1.0)) * 1.05 }
    }

    /// Returns what is said once the screen is gone.
    fn farewell(&self) -> String {
        let Some(seed) = self.seed else { return String::new() };
        let name = quoted(&self.watched.model.name);
        format!(
            "{}\nseed {seed}; `ddpm sample {name} --seed {seed}`, with the same flags, writes the \
             samples\n",
            self.status
        )
    }
}

fn told(progress: &Progress) -> String {
    let eta = progress.eta.map(|eta| format!(", about {:.1} s left", eta.as_secs_f64()));
    format!(
        "{} done, {} running, {} waiting{}",
        progress.samples_done,
        progress.samples_running,
        progress.samples_waiting,
        eta.unwrap_or_default()
    )
}

fn points(samples: &[Option<&Sample>]) -> Vec<[f32; 2]> {
    let point = |sample: &&Sample| match &sample.data {
        Data::Values(values) => <[f32; 2]>::try_from(values.as_slice()).ok(),
        Data::Pixels(_) | Data::Png(_) => None,
    };
    samples.iter().flatten().filter_map(point).collect()
}
