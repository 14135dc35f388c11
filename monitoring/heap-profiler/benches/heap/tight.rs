//! One block at a time.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;

/// Allocates. Inlined as a whole program's optimisation inlines the shim between `alloc` and the global allocator, so
/// that the difference is the hook alone and not a call.
#[inline(always)]
unsafe fn allocate(heap: &impl GlobalAlloc, layout: Layout) -> *mut u8 {
    // SAFETY: the caller keeps the same contract.
    unsafe { heap.alloc(layout) }
}

#[inline(always)]
unsafe fn release(heap: &impl GlobalAlloc, block: *mut u8, layout: Layout) {
    // SAFETY: the caller keeps the same contract.
    unsafe { heap.dealloc(block, layout) }
}

/// Runs the loop at four offsets within a cache line: the offset alone changes the time by a cycle.
fn tight(heap: &impl GlobalAlloc, times: usize, size: usize) {
    tight_at::<0>(heap, times / 4, size);
    tight_at::<16>(heap, times / 4, size);
    tight_at::<32>(heap, times / 4, size);
    tight_at::<48>(heap, times / 4, size);
}

#[inline(never)]
fn tight_at<const BYTES: usize>(heap: &impl GlobalAlloc, times: usize, size: usize) {
    // SAFETY: does nothing.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".rept {}", "nop", ".endr", const BYTES, options(nomem, nostack));
    }
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    for _ in 0..times {
        // SAFETY: the size is not zero, and the block is freed once with its layout.
        unsafe {
            let block = allocate(heap, black_box(layout));
            release(heap, black_box(block), black_box(layout));
        }
    }
}

/// Runs `tight` from `depth` calls further down.
#[inline(never)]
pub fn deep(heap: &impl GlobalAlloc, times: usize, size: usize, depth: usize) -> usize {
    if depth == 0 {
        tight(heap, times, size);
        0
    } else {
        // The addition keeps the call from becoming a jump.
        black_box(deep(heap, times, size, depth - 1)) + 1
    }
}
