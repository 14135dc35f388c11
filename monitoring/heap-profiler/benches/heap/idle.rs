//! Instructions that do nothing.

use core::alloc::{GlobalAlloc, Layout};
use std::alloc::System;

/// An allocator with as many idle instructions as the hook has, on one register.
pub struct Idle;

/// Half of the hook's 22 instructions, for each way.
#[inline(always)]
fn idle() {
    // SAFETY: changes only a register that it has reserved.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".rept 11", "lea {}, [rsp + 8]", ".endr", out(reg) _, options(nomem, nostack));
    }
}

// SAFETY: both methods pass their arguments on to the system's allocator.
unsafe impl GlobalAlloc for Idle {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the same contract.
        let block = unsafe { System.alloc(layout) };
        idle();
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        idle();
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(block, layout) }
    }
}
