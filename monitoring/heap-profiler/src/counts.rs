//! Exact counts of all allocations and frees of the heap.

use core::sync::atomic::{AtomicU64, Ordering};

use super::HeapStats;
use sync::Counter;

/// Attempts to read both totals of one moment. They all fail only if the reading task is preempted in each.
const TRIES: usize = 4;

/// Totals that only grow, and the peak.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Counts {
    pub allocations: Counter,
    pub allocated_bytes: Counter,
    pub frees: Counter,
    pub freed_bytes: Counter,
    /// The most bytes alive right before a free, or at a reading.
    pub peak_bytes: AtomicU64,
}

impl Counts {
    pub const fn new() -> Self {
        Self {
            allocations: Counter::new(),
            allocated_bytes: Counter::new(),
            frees: Counter::new(),
            freed_bytes: Counter::new(),
            peak_bytes: AtomicU64::new(0),
        }
    }

    /// Counts an allocated block.
    #[inline(always)]
    pub fn allocate(&self, size: usize) {
        self.allocations.add(1);
        self.allocated_bytes.add(size as u64);
    }

    /// Counts a block that is about to be freed. The caller has checked [`is_peak`](Self::is_peak) before.
    #[inline(always)]
    pub fn free(&self, size: usize) {
        self.frees.add(1);
        self.freed_bytes.add(size as u64);
    }

    /// Returns `true` if more bytes are alive than ever before. The caller must then call
    /// [`raise_peak`](Self::raise_peak).
    #[inline(always)]
    pub fn is_peak(&self) -> bool {
        self.live().cast_signed() > self.peak_bytes.load(Ordering::Relaxed).cast_signed()
    }

    /// Raises the peak to the bytes alive. Another task may raise it further between the comparison and the store;
    /// `fetch_max` keeps the higher value. New peaks are rare, so a locked instruction is acceptable.
    pub fn raise_peak(&self) {
        // A block freed on another core in between can make the difference negative. A negative difference is not a
        // peak.
        if self.is_peak() {
            self.peak_bytes.fetch_max(self.live(), Ordering::Relaxed);
        }
    }

    /// Returns the bytes alive. It reads the allocations first: a free between the two loads makes the result too
    /// small, never too large, and the task that freed has checked the peak before.
    #[inline(always)]
    fn live(&self) -> u64 {
        let allocated = self.allocated_bytes.get();
        allocated.wrapping_sub(self.freed_bytes.get())
    }

    /// Reads all counts. The inner allocator's own figures, and the number of refusals, stay 0.
    pub fn read(&self) -> HeapStats {
        // Frees are read before allocations: a free in between must not make the difference negative. If no free came
        // in between, both totals are of one moment.
        let (mut frees, mut freed_bytes) = (self.frees.get(), self.freed_bytes.get());
        let (mut allocations, mut allocated_bytes) = (0, 0);
        for _ in 0..TRIES {
            (allocations, allocated_bytes) = (self.allocations.get(), self.allocated_bytes.get());
            let again = (self.frees.get(), self.freed_bytes.get());
            if again == (frees, freed_bytes) {
                self.raise_peak();
                break;
            }
            (frees, freed_bytes) = again;
            (allocations, allocated_bytes) = (self.allocations.get(), self.allocated_bytes.get());
        }
        let live_bytes = allocated_bytes.saturating_sub(freed_bytes);
        HeapStats {
            allocations,
            frees,
            allocated_bytes,
            freed_bytes,
            live_bytes,
            live_blocks: allocations.saturating_sub(frees),
            peak_bytes: self.peak_bytes.load(Ordering::Relaxed),
            ..HeapStats::default()
        }
    }
}
