//! This program as a heap profile sees it.

use core::sync::atomic::{AtomicUsize, Ordering};

use heap_profiler::{DEFAULT_RING_BYTES, Machine, Settings};

static STACK_END: AtomicUsize = AtomicUsize::new(0);

/// Returns settings for the calling thread's stack. The code is this program, so stacks end below `main`.
pub fn settings() -> Settings {
    STACK_END.store(stack_end(), Ordering::Relaxed);
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    Settings {
        ring_bytes: DEFAULT_RING_BYTES,
        machine: Machine {
            code: (&raw const __executable_start).addr()..(&raw const etext).addr(),
            readable: |page| page < STACK_END.load(Ordering::Relaxed),
            ticks,
        },
    }
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 has the instruction.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Returns the end of the calling thread's stack.
fn stack_end() -> usize {
    // SAFETY: the first call fills the attributes, the second reads them, the third frees them.
    unsafe {
        let mut attributes = core::mem::zeroed();
        let (mut base, mut size) = (core::ptr::null_mut(), 0);
        assert_eq!(
            libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes),
            0
        );
        libc::pthread_attr_getstack(&raw const attributes, &raw mut base, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        base.addr() + size
    }
}
