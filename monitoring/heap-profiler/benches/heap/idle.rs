//! Instructions that do nothing.

use core::alloc::{GlobalAlloc, Layout};
use std::alloc::System;

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
