//! The system's allocator, which counts what each thread allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that this thread took and did not free; less than 0 if it freed those of others.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Notes one allocation more; `bytes` is what it takes beyond what it took.
fn took(bytes: isize) {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    LIVE.set(LIVE.get() + bytes);
    PEAK.set(PEAK.get().max(LIVE.get()));
}

// SAFETY: every call goes to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size() as isize);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        took(layout.size() as isize);
        // SAFETY: the caller keeps to the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: the block came from `System`, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        took(size as isize - layout.size() as isize);
        // SAFETY: the block came from `System`, with this layout.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Returns how often this thread has allocated.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.get()
}

/// Returns the most bytes that this thread held during a call, beyond those that it held before.
pub(crate) fn peak_of<T>(call: impl FnOnce() -> T) -> (T, u64) {
    let (before, outer) = (LIVE.get(), PEAK.get());
    PEAK.set(before);
    let result = call();
    let peak = PEAK.get();
    PEAK.set(outer.max(peak));
    (result, (peak - before) as u64)
}

#[test]
fn the_peak_of_a_call_is_what_it_held_at_once() {
    let (_, peak) = peak_of(|| {
        drop(vec![0_u8; 1000]);
        let (kept, inner) = peak_of(|| vec![0_u8; 300]);
        assert_eq!(inner, 300);
        drop((vec![0_u8; 500], kept));
    });
    assert_eq!(peak, 1000);
}
