//! The cache line that every allocation and every free uses.
//!
//! ```text
//!   byte  0             8                 16      24            32           40          48     56
//!        │ allocations │ allocated bytes │ frees │ freed bytes │ peak bytes │ countdown │ mask │ filter ─▶ bytes
//!        └───────────────────── counts ──────────────────────────────────────┘
//! ```
//! Runs inside the allocator: it never allocates, locks, waits, panics, or makes a system call.
//!
//! On x86-64 with one core ([`ONE_CORE`]) each way is one block of assembly. A compiler computes an address for each
//! separate update and keeps each constant in a register; those were a third of all instructions. The Rust beside each
//! block has the same effect: all other machines run it, and a test compares the two. An interrupt can come between any
//! two instructions, as it can between the lines in Rust.
//!
//! All rare cases share one exit; the slow path finds out which case it is.

use core::sync::atomic::{AtomicPtr, Ordering};

use sync::ONE_CORE;

use super::counts::Counts;
use super::live::Place;
use super::sampler::Countdown;
use super::word::{Byte, Word};

/// The cache line; one register addresses all of it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Hot {
    pub counts: Counts,
    pub countdown: Countdown,
    /// The bits of a hash that select a byte of the filter. It is 0 without a session, so that every block selects the
    /// same byte.
    mask: Word,
    /// The filter. Its length matches the mask.
    filter: AtomicPtr<Byte>,
}

const _: () = assert!(size_of::<Hot>() == 64);

/// The filter without a session.
static NO_FILTER: Byte = Byte::new(0);

impl Hot {
    pub const fn new() -> Self {
        Self {
            counts: Counts::new(),
            countdown: Countdown::new(),
            mask: Word::new(0),
            filter: AtomicPtr::new((&raw const NO_FILTER).cast_mut()),
        }
    }

    /// Sets the filter permanently: its bytes are never freed.
    pub fn set_filter(&self, filter: &[Byte]) {
        self.filter
            .store(filter.as_ptr().cast_mut(), Ordering::Release);
    }

    /// Sets the mask: the length of the filter less one, after [`set_filter`](Self::set_filter); or 0.
    pub fn set_mask(&self, mask: u64) {
        self.mask.publish(mask);
    }

    /// Returns `true` if a block that is about to be freed may be sampled.
    #[inline(always)]
    pub fn may_be_sampled(&self, address: usize) -> bool {
        let place = Place::of(address, self.mask.load());
        let filter = self.filter.load(Ordering::Relaxed);
        // SAFETY: the place is at most the mask, and a task that sees a mask sees its filter or a later one: the filter
        // is set before the mask, and only once. A filter is never freed. With the mask 0, every filter has this byte.
        #[expect(unsafe_code, reason = "saves a bounds check for each free")]
        let byte = unsafe { &*filter.add(place.index()) };
        byte.get() != 0
    }

    /// Returns `true` if [`free`](Self::free) would leave a block to the slow path.
    #[inline(always)]
    pub fn is_rare(&self, address: usize) -> bool {
        self.counts.is_peak() || self.may_be_sampled(address)
    }
}

impl Hot {
    /// Counts a block that the allocator has returned. Returns `true` if the slow path has work: the request was
    /// refused and is not counted here, or the block may be sampled.
    #[inline(always)]
    pub fn allocate(&self, block: *mut u8, size: usize, words: u64) -> bool {
        if ONE_CORE {
            self.unlocked_allocate(block, size, words)
        } else {
            self.portable_allocate(block, size, words)
        }
    }

    /// Counts a block that is about to be freed. Returns `true` if the slow path must do it, because there is a new
    /// peak or because the block may be sampled; then nothing is counted yet.
    #[inline(always)]
    pub fn free(&self, block: *mut u8, size: usize) -> bool {
        if ONE_CORE {
            self.unlocked_free(block, size)
        } else {
            self.portable_free(block, size)
        }
    }

    #[inline(always)]
    fn portable_allocate(&self, block: *mut u8, size: usize, words: u64) -> bool {
        if block.is_null() {
            return true;
        }
        self.counts.allocate(size);
        self.countdown.pass(words)
    }

    #[inline(always)]
    fn portable_free(&self, block: *mut u8, size: usize) -> bool {
        if self.is_rare(block.addr()) {
            return true;
        }
        self.counts.free(size);
        false
    }
}

/// Replacements that are never called: [`ONE_CORE`] is false here.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
impl Hot {
    fn unlocked_allocate(&self, block: *mut u8, size: usize, words: u64) -> bool {
        self.portable_allocate(block, size, words)
    }

    fn unlocked_free(&self, block: *mut u8, size: usize) -> bool {
        self.portable_free(block, size)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(
    unsafe_code,
    reason = "Rust has no read-modify-write that is atomic for one core only"
)]
mod unlocked {
    use core::arch::asm;
    use core::mem::offset_of;

    use super::super::counts::Counts;
    use super::super::live::FACTOR;
    use super::Hot;

    const COUNTS: usize = offset_of!(Hot, counts);

    impl Hot {
        #[inline(always)]
        pub fn unlocked_allocate(&self, block: *mut u8, size: usize, words: u64) -> bool {
            // SAFETY: the instructions read and write aligned words of this line, all of them atomics. Each access is
            // undivided, as a relaxed load or store would be. They use neither the stack nor other registers.
            unsafe {
                asm!(
                    "test {block}, {block}",
                    "jz {rare}",
                    "inc qword ptr [{hot} + {allocations}]",
                    "add qword ptr [{hot} + {allocated_bytes}], {size}",
                    "sub qword ptr [{hot} + {countdown}], {words}",
                    "js {rare}",
                    block = in(reg) block,
                    hot = in(reg) &raw const *self,
                    size = in(reg) size,
                    words = in(reg) words,
                    allocations = const COUNTS + offset_of!(Counts, allocations),
                    allocated_bytes = const COUNTS + offset_of!(Counts, allocated_bytes),
                    countdown = const offset_of!(Hot, countdown),
                    rare = label { return true; },
                    options(nostack),
                );
            }
            false
        }

        #[inline(always)]
        pub fn unlocked_free(&self, block: *mut u8, size: usize) -> bool {
            // SAFETY: as in `allocate`. The filter's byte can be read (see `may_be_sampled`): the mask is read before
            // the filter, and this processor does not reorder loads.
            unsafe {
                asm!(
                    "mov {it}, qword ptr [{hot} + {allocated_bytes}]",
                    "sub {it}, qword ptr [{hot} + {freed_bytes}]",
                    "cmp {it}, qword ptr [{hot} + {peak_bytes}]",
                    "jg {rare}",
                    "imul {it}, {block}, {factor}",
                    "shr {it}, 32",
                    "and {it}, qword ptr [{hot} + {mask}]",
                    "add {it}, qword ptr [{hot} + {filter}]",
                    "cmp byte ptr [{it}], 0",
                    "jne {rare}",
                    "inc qword ptr [{hot} + {frees}]",
                    "add qword ptr [{hot} + {freed_bytes}], {size}",
                    it = out(reg) _,
                    block = in(reg) block,
                    hot = in(reg) &raw const *self,
                    size = in(reg) size,
                    factor = const FACTOR,
                    allocated_bytes = const COUNTS + offset_of!(Counts, allocated_bytes),
                    frees = const COUNTS + offset_of!(Counts, frees),
                    freed_bytes = const COUNTS + offset_of!(Counts, freed_bytes),
                    peak_bytes = const COUNTS + offset_of!(Counts, peak_bytes),
                    mask = const offset_of!(Hot, mask),
                    filter = const offset_of!(Hot, filter),
                    rare = label { return true; },
                    options(nostack),
                );
            }
            false
        }
    }
}

#[cfg(test)]
mod tests;
