//! Our profiler over the system's allocator.

use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::System;
use std::io;

use monitoring::heap::{
    DEFAULT_RING_BYTES, HeapProfile, Machine, Profiled, Rate, Record, Settings,
};

use crate::recorded;

static STACK_END: AtomicUsize = AtomicUsize::new(0);

/// Prepared, and sampling if there is a rate.
///
/// # Errors
/// A profile without whole stacks, or that has lost something.
pub fn run(rate: Option<f64>) -> io::Result<()> {
    static HEAP: Profiled<System> = Profiled::new(System);
    STACK_END.store(stack_end(), Ordering::Relaxed);
    HEAP.prepare(settings()).map_err(io::Error::other)?;
    if let Some(rate) = rate {
        let rate = Rate::new(rate).expect("a rate");
        HEAP.start(rate, 1).map_err(io::Error::other)?;
    }
    let (mut deepest, mut lost) = (0, 0);
    workload::serve(&HEAP, &mut || {
        HEAP.drain(&mut |record| {
            match record {
                Record::Alloc { stack, .. } => deepest = deepest.max(stack.len()),
                Record::Lost { blocks, .. } => lost += blocks,
                Record::Free { .. } => {}
            }
            ControlFlow::Continue(())
        });
    })?;
    if rate.is_none() {
        return Ok(());
    }
    recorded::ensure(lost == 0, "has lost samples")?;
    recorded::frames(core::iter::once(deepest))
}

/// Code is this program's own: stacks end below `main`, where those of the others go on into the C library.
#[expect(
    unsafe_code,
    reason = "asks the linker where code is, and the processor for its clock"
)]
fn settings() -> Settings {
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    Settings {
        ring_bytes: DEFAULT_RING_BYTES,
        machine: Machine {
            code: (&raw const __executable_start).addr()..(&raw const etext).addr(),
            readable: |page| page < STACK_END.load(Ordering::Relaxed),
            // SAFETY: every x86-64 has the instruction.
            ticks: || unsafe { core::arch::x86_64::_rdtsc() },
        },
    }
}

/// Where the calling thread's stack ends.
#[expect(unsafe_code, reason = "asks the C library")]
fn stack_end() -> usize {
    // SAFETY: the attributes are filled by the first call, read by the second and given back by the third.
    unsafe {
        let mut attributes = core::mem::zeroed();
        let (mut base, mut size) = (core::ptr::null_mut(), 0);
        let status = libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes);
        assert_eq!(status, 0);
        libc::pthread_attr_getstack(&raw const attributes, &raw mut base, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        base.addr() + size
    }
}
