//! Figure 4: many runs leave no more than a few.

use ddpm_tests::browser::Tab;
use ddpm_tests::report::Verdict;
use serde_json::json;

use crate::Bench;
use crate::page::{Page, Settings};

/// Most that memory may have grown, as a share.
const GROWTH: f64 = 0.1;

/// Memory of a page without garbage, in MiB.
#[derive(Debug, Clone, Copy)]
struct Memory {
    /// Objects of scripts and of the document.
    heap: f64,
    /// What typed arrays hold, outside of the heap.
    arrays: f64,
}

impl Memory {
    fn of(tab: &Tab) -> Self {
        tab.devtools("HeapProfiler.collectGarbage", json!({}));
        let usage = tab.devtools("Runtime.getHeapUsage", json!({}));
        let mib = |name: &str| usage[name].as_f64().unwrap_or(0.0) / f64::from(1 << 20);
        Self {
            heap: mib("usedSize") + mib("embedderHeapUsedSize"),
            arrays: mib("backingStorageSize"),
        }
    }

    fn total(self) -> f64 {
        self.heap + self.arrays
    }
}

/// Compares memory after 50 runs with that after 5.
pub(crate) fn memory(bench: &Bench) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let (few, many) = (5, bench.options.pick(50, 15));
    let page = Page::open(bench, Settings::GLYPHS);
    page.tab().devtools("HeapProfiler.enable", json!({}));
    let mut after = |runs: u32| -> anyhow::Result<Memory> {
        for _ in 0..runs {
            page.run()?;
        }
        let memory = Memory::of(page.tab());
        verdict
            .note(format!("{:.1} MiB of objects, {:.1} MiB of arrays", memory.heap, memory.arrays));
        Ok(memory)
    };
    let first = after(few)?;
    let last = after(many - few)?;
    verdict.line(
        format!("memory after {many} runs within {:.0} % of that after {few}", 100.0 * GROWTH),
        format!("{:.1} MiB after {:.1} MiB", last.total(), first.total()),
        last.total() <= first.total() * (1.0 + GROWTH),
    );
    Ok(verdict)
}
