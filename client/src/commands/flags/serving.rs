//! How the server treats a request: what goes first, what is promised, and by when.

use std::time::Duration;

use ddpm_client::{Determinism, OnDeadline, Priority, Request};

use super::optional::apply;

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ServingFlags {
    /// What goes first among your requests; others lose nothing by it [default: normal].
    #[arg(long, value_enum)]
    pub(crate) priority: Option<Priority>,

    /// Sample only if the bits are promised not to depend on what else the server computes.
    #[arg(long)]
    pub(crate) strict: bool,

    /// Form in which the model's network is computed, such as portable or int8: one that `ddpm
    /// models` lists [default: the server's choice].
    #[arg(long, value_name = "GRAPH")]
    pub(crate) graph: Option<String>,

    /// Time for the whole run. A server refuses at once what it cannot do in time.
    #[arg(long, value_name = "SECONDS", value_parser = positive_seconds)]
    pub(crate) deadline: Option<Duration>,

    /// When the deadline is over, keep what is done: exit code 1, with the missing indices.
    #[arg(long, requires = "deadline")]
    pub(crate) partial: bool,

    /// Go on with samples of another build of the server, or of another machine, if it was
    /// replaced during the run: they may differ in the last bits.
    #[arg(long)]
    pub(crate) accept_build: bool,
}

impl ServingFlags {
    /// Sets the fields of `request` whose flags were used.
    pub(crate) fn apply(&self, request: Request) -> Request {
        let request = apply(request, self.priority, Request::priority);
        let strict = self.strict.then_some(Determinism::Strict);
        let request = apply(request, strict, Request::determinism);
        let request = apply(request, self.graph.clone(), Request::graph);
        let request = apply(request, self.deadline, Request::deadline);
        let partial = self.partial.then_some(OnDeadline::ReturnFinished);
        apply(request, partial, Request::on_deadline).accept_build(self.accept_build)
    }
}

/// Reads a time in seconds, at least 0.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    Duration::try_from_secs_f64(number)
        .map_err(|error| format!("{text} is not a time in seconds: {error}"))
}

fn positive_seconds(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        Duration::ZERO => Err("nothing can be done in 0 s".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_finite_number_of_seconds() {
        assert_eq!(seconds("0").unwrap(), Duration::ZERO);
        assert_eq!(seconds("2.5").unwrap(), Duration::from_millis(2500));
        for wrong in ["-1", "inf", "NaN", "1e30", "5s", ""] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(positive_seconds("0").is_err());
    }
}
