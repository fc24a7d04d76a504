//! Random inputs for everything that reads what a client sends, on the stable toolchain.
//!
//! A [`Target`] makes inputs that are nearly right, from the contract's descriptors or from the
//! chunks of a file, and says in which ways each of them ends. There is no instrumentation: an
//! input that ends in a new way is kept and changed further. Each input must end without a panic,
//! in little time, and within the memory that was reserved for it.
//!
//! What has been found is in `server/fuzz/corpus`. The short form replays it and goes on for a
//! second; `make fuzz` goes on for minutes and adds to it.

use std::time::Duration;

use fastrand::Rng;

pub(crate) mod heap;

mod corpus;

mod runner;
use runner::fuzz;

mod mutation;

mod messages;

mod server;

mod requests;

mod rows;

mod images;
mod png_file;

mod wire;

/// Something that reads what a client sends.
trait Target {
    /// Of the folder with its corpus.
    const NAME: &'static str;

    /// Makes an input.
    fn generate(&self, rng: &mut Rng) -> Vec<u8>;

    /// Changes an input.
    ///
    /// * `other`: one to take parts from.
    fn mutate(&self, rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]);

    /// Reads an input.
    ///
    /// # Panics
    ///
    /// If a promise is broken.
    fn run(&self, input: &[u8]) -> Outcome;
}

/// How an input ends.
struct Outcome {
    /// The ways; one that no input ended in before makes this one worth keeping.
    ways: Vec<String>,
    memory: Memory,
}

/// Bytes of memory.
#[derive(Debug, Default)]
struct Memory {
    /// What was held at the memory limit.
    reserved: u64,
    /// What was made, at most at once.
    taken: u64,
}

/// How long each target runs with all other tests.
const SHORT: Duration = Duration::from_secs(1);

/// How long each runs by itself unless `DDPM_FUZZ_SECONDS` says otherwise.
const LONG_SECONDS: u64 = 300;

#[test]
fn random_requests_are_checked_or_refused_within_their_memory() {
    fuzz(&requests::Requests::new(), SHORT, false);
}

#[test]
fn random_rows_are_refused_or_run() {
    fuzz(&rows::Rows, SHORT, false);
}

#[test]
fn random_pictures_are_read_or_refused_within_their_memory() {
    fuzz(&images::Images::new(), SHORT, false);
}

#[test]
fn random_bytes_are_collected_decompressed_and_measured_as_they_are_decoded() {
    fuzz(&wire::Wire::new(), SHORT, false);
}

/// `make fuzz` runs it.
#[test]
#[ignore = "takes five minutes for each target"]
fn minutes_of_random_inputs_end_well() {
    let seconds = std::env::var("DDPM_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(LONG_SECONDS));
    std::thread::scope(|scope| {
        scope.spawn(|| fuzz(&requests::Requests::new(), time, true));
        scope.spawn(|| fuzz(&rows::Rows, time, true));
        scope.spawn(|| fuzz(&images::Images::new(), time, true));
        scope.spawn(|| fuzz(&wire::Wire::new(), time, true));
    });
}
