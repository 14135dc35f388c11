//! Exact numbers of everything that goes through the heap.

use core::sync::atomic::{AtomicU64, Ordering};

use super::HeapStats;
use sync::Counter;

/// Tries to read both totals of one moment: a task that is preempted once a try must be very unlucky.
const TRIES: usize = 4;

/// Totals that only grow, and the peak.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Counts {
    pub allocations: Counter,
    pub allocated_bytes: Counter,
    pub frees: Counter,
    pub freed_bytes: Counter,
    /// The most bytes live right before a free, or at a reading.
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

    /// A block was allocated.
    #[inline(always)]
    pub fn allocate(&self, size: usize) {
        self.allocations.add(1);
        self.allocated_bytes.add(size as u64);
    }

    /// A block is about to be freed; whoever calls this has asked [`is_peak`](Self::is_peak) before.
    #[inline(always)]
    pub fn free(&self, size: usize) {
        self.frees.add(1);
        self.freed_bytes.add(size as u64);
    }

    /// Whether there is more alive than ever before: then [`raise_peak`](Self::raise_peak) remembers it.
    #[inline(always)]
    pub fn is_peak(&self) -> bool {
        self.live().cast_signed() > self.peak_bytes.load(Ordering::Relaxed).cast_signed()
    }

    /// A task may be preempted between looking and raising, and another may raise the peak further meanwhile: the lower value is not
    /// stored over the higher one. New peaks are rare, so this may be a locked instruction.
    pub fn raise_peak(&self) {
        // A task that is freed from on another core in between can make the difference negative, which is no peak.
        if self.is_peak() {
            self.peak_bytes.fetch_max(self.live(), Ordering::Relaxed);
        }
    }

    /// The allocations are read first: what is freed between the two makes the result too small, never too large, and whoever freed it
    /// has looked by itself.
    #[inline(always)]
    fn live(&self) -> u64 {
        let allocated = self.allocated_bytes.get();
        allocated.wrapping_sub(self.freed_bytes.get())
    }

    /// All of it; what the allocator itself knows, and how often it refused, is 0.
    pub fn read(&self) -> HeapStats {
        // Frees before allocations: what is freed in between must not make the difference negative. If nothing was freed in between,
        // the difference is that of one moment.
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
