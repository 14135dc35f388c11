//! The profiled allocator.

use core::alloc::GlobalAlloc;
use core::ops::ControlFlow;

use monitoring::heap::{HeapProfile, Profiled, Rate, Record};

use crate::measure::Recorded;
use crate::program;

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
    heap.prepare(program::settings())
        .expect("memory for the profile");
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
