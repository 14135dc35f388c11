//! The profiled allocator, as this program has it.

use core::alloc::GlobalAlloc;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering};

use monitoring::heap::{
    DEFAULT_RING_BYTES, HeapProfile, Machine, Profiled, Rate, Record, Settings,
};

use crate::measure::Recorded;

static STACK_END: AtomicUsize = AtomicUsize::new(0);

/// A profile of this program's stacks.
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

/// Where the calling thread's stack ends.
fn stack_end() -> usize {
    // SAFETY: the attributes are filled by the first call, read by the second and given back by the third.
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

/// What was recorded since the last time.
pub fn drain(heap: &dyn HeapProfile) -> Recorded {
    let mut recorded = Recorded::default();
    heap.drain(&mut |record| {
        match record {
            Record::Alloc { stack, .. } => {
                recorded.samples += 1;
                recorded.frames += stack.len();
            }
            Record::Lost { blocks, .. } => recorded.lost += blocks,
            Record::Free { .. } => {}
        }
        ControlFlow::Continue(())
    });
    recorded
}

pub fn profiled<A>(inner: A, rate: Option<f64>) -> &'static Profiled<A>
where
    A: GlobalAlloc + Sync,
{
    let heap: &'static Profiled<A> = Box::leak(Box::new(Profiled::new(inner)));
    heap.prepare(settings()).expect("memory for the profile");
    start(heap, rate);
    heap
}

/// Nothing if there is no rate.
pub fn start(heap: &dyn HeapProfile, rate: Option<f64>) {
    if let Some(rate) = rate {
        heap.start(Rate::new(rate).expect("a rate"), 1)
            .expect("nothing is running");
    }
}

/// Before anything is sampled, by the thread that allocates.
pub fn init() {
    STACK_END.store(stack_end(), Ordering::Relaxed);
}
