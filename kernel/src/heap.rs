//! The memory for the application's heap.

use core::mem::MaybeUninit;
use core::slice;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::sys;

/// The memory that stays with the kernel: task records, thread-local storage, ACPI tables and the DMA buffers of the network card.
const KERNEL_BYTES: usize = 1 << 20;
/// The region's size is a multiple of this, and its start is aligned to it, like the large pages that it is mapped with.
const GRANULE: usize = 64 << 10;

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Returns the region for the application's heap: nearly all memory that the kernel has. Returns `None` after the first call, or if
/// there is no memory.
///
/// Its size is the machine's memory less the image, less 10 % that the kernel reserves for stacks, less 1 MiB, in multiples of 64
/// KiB. The caller owns the memory from then on.
pub fn region() -> Option<&'static mut [MaybeUninit<u8>]> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // The kernel has no call that tells how much memory there is, so this code looks for the largest allocation that succeeds, by
    // bisection over the address space of 2^47 bytes.
    let (mut fits, mut fails) = (0, (1 << 47) / GRANULE);
    while fails - fits > 1 {
        let middle = fits + (fails - fits) / 2;
        let block = sys::sys_malloc(middle * GRANULE, GRANULE);
        if block.is_null() {
            fails = middle;
        } else {
            // SAFETY: just allocated with this size and alignment, and not used.
            unsafe { sys::sys_free(block, middle * GRANULE, GRANULE) };
            fits = middle;
        }
    }
    let bytes = (fits * GRANULE)
        .checked_sub(KERNEL_BYTES)
        .filter(|&bytes| bytes > 0)?;
    let start = sys::sys_malloc(bytes, GRANULE);
    // SAFETY: just allocated with this size, never freed, and returned only once.
    (!start.is_null()).then(|| unsafe { slice::from_raw_parts_mut(start.cast(), bytes) })
}
