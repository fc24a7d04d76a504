//! Random schedules of arrivals, readers, deadlines and failures, run through the real admission,
//! scheduler, engine, outboxes and streams, on a device and a clock that are made up.
//!
//! Each seed makes one schedule, and every schedule must keep the promises in
//! [`world`](self::world). A seed that once broke one is kept in [`FAILED`].

mod client;

mod device;

mod world;
use world::World;

/// Schedules of the short form.
const FEW: u64 = 2_000;

/// Seeds that broke a promise once.
const FAILED: &[u64] = &[];

/// Runs the schedules of these seeds on all cores.
fn run(seeds: std::ops::Range<u64>) {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let mine = seeds.clone().filter(move |seed| seed % threads == thread);
            scope.spawn(move || mine.for_each(check));
        }
    });
}

/// Runs one schedule; panics with its seed if it breaks a promise.
fn check(seed: u64) {
    let run = || World::new(seed).run();
    if let Err(broken) = run() {
        panic!("seed {seed}: {broken}");
    }
}

#[test]
fn random_schedules_keep_every_promise() {
    FAILED.iter().copied().for_each(check);
    run(0..FEW);
}

/// `DDPM_SCHEDULES` of them, a million by default; `make stress` runs it.
#[test]
#[ignore = "takes minutes"]
fn a_million_random_schedules_keep_every_promise() {
    let count = std::env::var("DDPM_SCHEDULES").ok().and_then(|count| count.parse().ok());
    run(0..count.unwrap_or(1_000_000));
}
