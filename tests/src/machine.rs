//! The machine: what it is, and processes that keep it busy.

use std::fs;
use std::process::{Child, Command, Stdio};

/// Processes that use every core; they end when this is dropped.
#[derive(Debug)]
pub struct Burners(Vec<Child>);

impl Burners {
    /// Starts one per core.
    ///
    /// # Errors
    ///
    /// There is no shell.
    pub fn start() -> std::io::Result<Self> {
        let mut burners = Self(Vec::new());
        for _ in 0..cores() {
            let mut shell = Command::new("sh");
            shell.args(["-c", "while :; do :; done"]).stdin(Stdio::null());
            burners.0.push(shell.spawn()?);
        }
        Ok(burners)
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns the number of cores that this process may use.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Describes the machine in a line.
#[must_use]
pub fn describe() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let name = name.map_or("unknown processor", |(_, name)| name.trim());
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = kib.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{name}, {} cores, {:.0} GiB, Linux {}",
        cores(),
        kib.unwrap_or(0.0) / f64::from(1 << 20),
        kernel.trim()
    )
}

/// Returns the share of the machine's time in the last minute that was in use, as its load average
/// per core.
#[must_use]
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
}
