//! Runs inputs against a target, and finds new ones.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use ddpm_console::note;
use fastrand::Rng;
use rustix::time::{ClockId, clock_gettime};

use super::corpus::{Corpus, MAX_INPUT};
use super::{Outcome, Target};

/// Bytes that reading may take beyond what is reserved: messages of errors, tables of decoders.
pub(super) const BESIDE: u64 = 256 << 10;

/// Longest time of the processor for one input.
const SLOW: Duration = Duration::from_secs(2);

/// Most bytes of an input that others are made from: changes lengthen inputs, and those again.
const MAX_PARENT: usize = 64 << 10;

/// Inputs that are changed further.
const MAX_POOL: usize = 4096;

/// Replays the corpus of a target, then runs new inputs for a while.
///
/// * `keep`: whether inputs that end in a new way go into the corpus.
///
/// # Panics
///
/// At the first input that breaks a promise, with its path.
pub(super) fn fuzz<T: Target>(target: &T, time: Duration, keep: bool) {
    let mut corpus = Corpus::read(T::NAME).expect("the corpus is readable");
    let mut pool = Pool::default();
    for input in &corpus.inputs {
        pool.add(input.clone(), check(target, input, &corpus).ways);
    }
    let (known, kept) = (pool.ways.clone(), corpus.inputs.len());
    let seed = if keep { fastrand::u64(..) } else { 0 };
    let mut rng = Rng::with_seed(seed);
    let began = Instant::now();
    let mut count = 0_u64;
    while began.elapsed() < time {
        let input = pool.next(target, &mut rng);
        let outcome = check(target, &input, &corpus);
        pool.add(input, outcome.ways);
        count += 1;
    }
    if !keep {
        return;
    }
    for input in pool.found(&known) {
        corpus.keep(input).expect("the corpus is writable");
    }
    note!(
        "{}: {count} inputs, {:.0} a second, {} ways to end ({known} known), {} inputs kept \
         ({kept} known), seed {seed}",
        T::NAME,
        count as f64 / began.elapsed().as_secs_f64(),
        pool.ways.len(),
        corpus.inputs.len(),
        known = known.len(),
    );
}

/// Runs one input.
fn check<T: Target>(target: &T, input: &[u8], corpus: &Corpus) -> Outcome {
    let began = processor_time();
    let outcome = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    let time = processor_time().saturating_sub(began);
    let broken = match &outcome {
        Err(_) => "it panics".into(),
        Ok(_) if time > SLOW => format!("it takes {time:?}"),
        Ok(Outcome { memory, .. }) if memory.taken > memory.reserved + BESIDE => {
            format!("it takes {} bytes, and {} are reserved", memory.taken, memory.reserved)
        }
        Ok(_) => String::new(),
    };
    match outcome {
        Ok(outcome) if broken.is_empty() => outcome,
        _ => {
            let path = corpus.keep_broken(input);
            panic!("{}: {broken}: {path:?}, {} bytes", T::NAME, input.len());
        }
    }
}

/// Returns the time that this thread has used; how busy the machine is does not matter.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Inputs that each ended in a way that was new.
#[derive(Default)]
struct Pool {
    inputs: Vec<(Vec<u8>, Vec<String>)>,
    ways: BTreeSet<String>,
}

impl Pool {
    /// Makes an input, new or from one that is known.
    fn next<T: Target>(&mut self, target: &T, rng: &mut Rng) -> Vec<u8> {
        if self.inputs.is_empty() || rng.u32(..3) == 0 {
            return target.generate(rng);
        }
        let (mut input, _) = self.inputs[rng.usize(..self.inputs.len())].clone();
        let (other, _) = &self.inputs[rng.usize(..self.inputs.len())];
        for _ in 0..rng.u32(1..=4) {
            target.mutate(rng, &mut input, other);
        }
        input
    }

    /// Takes an input if it ended in a new way.
    fn add(&mut self, input: Vec<u8>, ways: Vec<String>) {
        let count = self.ways.len();
        self.ways.extend(ways.iter().cloned());
        if self.ways.len() > count && self.inputs.len() < MAX_POOL && input.len() <= MAX_PARENT {
            self.inputs.push((input, ways));
        }
    }

    /// Returns few small inputs that end in every way beyond those that were known.
    fn found(&self, known: &BTreeSet<String>) -> Vec<Vec<u8>> {
        let mut open: BTreeSet<&String> = self.ways.difference(known).collect();
        let small: Vec<_> = self.inputs.iter().filter(|one| one.0.len() <= MAX_INPUT).collect();
        let mut found = Vec::new();
        loop {
            // The most new ways for its bytes.
            let worth = |(input, ways): &(Vec<u8>, Vec<String>)| {
                let new = ways.iter().filter(|way| open.contains(*way)).count();
                new * (MAX_INPUT + 64) / (input.len() + 64)
            };
            let best = small.iter().max_by_key(|one| worth(one));
            let Some((input, ways)) = best.filter(|one| worth(one) > 0) else { return found };
            ways.iter().for_each(|way| {
                open.remove(way);
            });
            found.push(input.clone());
        }
    }
}
