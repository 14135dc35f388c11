//! The default allocator of the images.

use core::alloc::{GlobalAlloc, Layout};
use core::mem::MaybeUninit;
use std::alloc::System;

use heap_profiler::Talc;

pub type Heap = Talc<spin::mutex::SpinMutex<()>>;

/// Memory for a heap; it is never freed.
pub fn region() -> &'static mut [MaybeUninit<u8>] {
    const BYTES: usize = 64 << 20;
    let layout = Layout::from_size_align(BYTES, 4096).expect("a layout");
    // SAFETY: the size is not zero, and the block is never freed.
    unsafe {
        let start = System.alloc(layout).cast::<MaybeUninit<u8>>();
        assert!(!start.is_null());
        // Writes every page before the measurement, so that the kernel maps them all.
        start.cast::<u8>().write_bytes(0, BYTES);
        core::slice::from_raw_parts_mut(start, BYTES)
    }
}
