//! Which step is shown: the newest, one that somebody went back to, or the next one of a replay.
//! Time is an argument.

use std::time::{Duration, Instant};

/// Pause between two steps of a replay.
const PAUSE: Duration = Duration::from_millis(80);

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Stop where it is, or go on.
    PauseOrPlay,
    /// One step back.
    Back,
    /// One step forward.
    Forward,
    /// The first step.
    First,
    /// The newest step, and those that will come.
    Newest,
    /// Show the other kind of preview.
    OtherKind,
    /// End.
    Quit,
}

/// Where the viewer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Position {
    /// At the newest step.
    #[default]
    Newest,
    /// Stopped at a step.
    At(u32),
    /// At a step since a time, on the way to the newest.
    Replay(u32, Instant),
}

/// Which of the received steps is shown.
#[derive(Debug, Default)]
pub(super) struct Player {
    position: Position,
}

impl Player {
    /// Follows an action. [`Action::OtherKind`] and [`Action::Quit`] are not its business.
    ///
    /// * `steps`: those received, in order.
    pub(super) fn act(&mut self, action: Action, steps: &[u32], now: Instant) {
        let (Some(&first), Some(&last)) = (steps.first(), steps.last()) else { return };
        let shown = self.shown(steps);
        let place = steps.partition_point(|step| *step < shown);
        self.position = match (action, self.position) {
            (Action::PauseOrPlay, Position::At(step)) if step >= last => {
                Position::Replay(first, now)
            }
            (Action::PauseOrPlay, Position::At(step)) => Position::Replay(step, now),
            (Action::PauseOrPlay, _) => Position::At(shown),
            (Action::Back, _) => Position::At(steps[place.saturating_sub(1)]),
            (Action::Forward, _) => Position::At(steps[(place + 1).min(steps.len() - 1)]),
            (Action::First, _) => Position::At(first),
            (Action::Newest, _) => Position::Newest,
            (Action::OtherKind | Action::Quit, position) => position,
        };
    }

    /// Lets time pass: a replay goes on to its next step, and ends at the newest. Returns whether
    /// another step is shown.
    pub(super) fn pass(&mut self, steps: &[u32], now: Instant) -> bool {
        let Position::Replay(step, since) = self.position else { return false };
        if now.saturating_duration_since(since) < PAUSE {
            return false;
        }
        let next = steps.iter().copied().find(|other| *other > step);
        self.position = next.map_or(Position::Newest, |next| Position::Replay(next, now));
        next.is_some()
    }

    /// Returns the step that is shown; 0 if nothing was received.
    pub(super) fn shown(&self, steps: &[u32]) -> u32 {
        match self.position {
            Position::Newest => steps.last().copied().unwrap_or(0),
            Position::At(step) | Position::Replay(step, _) => step,
        }
    }

    /// Returns whether it stays where it is.
    pub(super) fn is_paused(&self) -> bool {
        matches!(self.position, Position::At(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [u32; 4] = [1, 3, 5, 7];

    #[test]
    fn it_follows_the_newest_step_until_it_is_paused() {
        let (mut player, now) = (Player::default(), Instant::now());
        assert_eq!((player.shown(&[]), player.shown(&STEPS[..2]), player.shown(&STEPS)), (0, 3, 7));
        player.act(Action::PauseOrPlay, &STEPS[..2], now);
        assert!(player.is_paused());
        assert_eq!(player.shown(&STEPS), 3, "more may come");
        player.act(Action::Newest, &STEPS, now);
        assert_eq!(player.shown(&STEPS), 7);
    }

    #[test]
    fn it_goes_step_by_step_and_no_further_than_the_ends() {
        let (mut player, now) = (Player::default(), Instant::now());
        let mut shown = |action| {
            player.act(action, &STEPS, now);
            player.shown(&STEPS)
        };
        let back = [Action::Back; 4].map(&mut shown);
        assert_eq!(back, [5, 3, 1, 1]);
        assert_eq!([Action::Forward; 4].map(&mut shown), [3, 5, 7, 7]);
        assert_eq!(shown(Action::First), 1);
        assert_eq!(shown(Action::OtherKind), 1);
    }

    #[test]
    fn a_replay_shows_each_step_for_its_time_and_ends_at_the_newest() {
        let (mut player, start) = (Player::default(), Instant::now());
        player.act(Action::Back, &STEPS, start);
        player.act(Action::Back, &STEPS, start);
        player.act(Action::PauseOrPlay, &STEPS, start);
        assert!(!player.pass(&STEPS, start + PAUSE / 2), "too early");
        assert!(player.pass(&STEPS, start + PAUSE));
        assert_eq!(player.shown(&STEPS), 5);
        assert!(player.pass(&STEPS, start + 2 * PAUSE));
        assert!(!player.pass(&STEPS, start + 3 * PAUSE), "it was the newest already");
        assert_eq!(player.shown(&[1, 3, 5, 7, 9]), 9, "and it follows again");
        assert!(!player.pass(&STEPS, start + 9 * PAUSE));
    }

    #[test]
    fn a_replay_from_the_end_begins_at_the_first_step() {
        let (mut player, now) = (Player::default(), Instant::now());
        player.act(Action::PauseOrPlay, &STEPS, now);
        player.act(Action::PauseOrPlay, &STEPS, now);
        assert_eq!(player.shown(&STEPS), 1);
        player.act(Action::PauseOrPlay, &STEPS, now);
        assert!(player.is_paused());
    }

    #[test]
    fn nothing_can_be_done_before_the_first_step() {
        let (mut player, now) = (Player::default(), Instant::now());
        for action in [Action::PauseOrPlay, Action::Back, Action::Forward, Action::First] {
            player.act(action, &[], now);
            assert_eq!(player.shown(&STEPS), 7);
        }
    }
}
