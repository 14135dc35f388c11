//! Allocators beside the profiled one.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use std::alloc::System;

use monitoring::counter::Counter;
use monitoring::heap::Talc;

/// A heap in memory of its own.
pub fn talc() -> Talc<spin::mutex::SpinMutex<()>> {
    const BYTES: usize = 64 << 20;
    let layout = Layout::from_size_align(BYTES, 4096).expect("a layout");
    let heap = Talc::new();
    // SAFETY: the size is not zero, and the block is leaked.
    let region = unsafe {
        let start = System.alloc(layout).cast::<MaybeUninit<u8>>();
        assert!(!start.is_null());
        start.cast::<u8>().write_bytes(0, BYTES);
        core::slice::from_raw_parts_mut(start, BYTES)
    };
    assert!(heap.claim(region));
    heap
}

/// Exact counts, and nothing else: what no profiler that has them can do without.
pub struct Counting<A> {
    inner: A,
    allocations: Counter,
    allocated_bytes: Counter,
    frees: Counter,
    freed_bytes: Counter,
}

impl<A> Counting<A> {
    pub const fn new(inner: A) -> Self {
        Self {
            inner,
            allocations: Counter::new(),
            allocated_bytes: Counter::new(),
            frees: Counter::new(),
            freed_bytes: Counter::new(),
        }
    }
}

// SAFETY: hands everything on.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.add(1);
        self.allocated_bytes.add(layout.size() as u64);
        // SAFETY: the caller's promises.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.frees.add(1);
        self.freed_bytes.add(layout.size() as u64);
        // SAFETY: the caller's promises.
        unsafe { self.inner.dealloc(block, layout) }
    }
}

/// As many instructions as the hook has, on one register.
pub struct Idle;

/// The hook's 22 instructions, half of them for each way.
#[inline(always)]
fn idle() {
    // SAFETY: changes a register that is its own.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".rept 11", "lea {}, [rsp + 8]", ".endr", out(reg) _, options(nomem, nostack));
    }
}

// SAFETY: hands everything on.
unsafe impl GlobalAlloc for Idle {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises.
        let block = unsafe { System.alloc(layout) };
        idle();
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        idle();
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(block, layout) }
    }
}
