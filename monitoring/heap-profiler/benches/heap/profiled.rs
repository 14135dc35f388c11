//! The profiled allocator.

use core::alloc::GlobalAlloc;

use heap_profiler::{HeapProfile, MAX_FRAMES, Peek, Profiled, Rate, Record};

use crate::measure::Recorded;
use crate::program;

/// Takes all records and returns their counts.
pub fn drain(heap: &dyn HeapProfile) -> Recorded {
    let mut recorded = Recorded::default();
    let mut frames = [0; MAX_FRAMES];
    while let Peek::Record(record) = heap.peek(&mut frames) {
        match record {
            Record::Alloc { stack, .. } => {
                recorded.samples += 1;
                recorded.frames += stack.len();
            }
            Record::Lost { blocks, .. } => recorded.lost += blocks,
            Record::Free { .. } => {}
        }
        heap.take(&record);
    }
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

/// Starts sampling at this rate; does nothing without one.
pub fn start(heap: &dyn HeapProfile, rate: Option<f64>) {
    if let Some(rate) = rate {
        heap.start(Rate::new(rate).expect("a rate"), 1)
            .expect("nothing is running");
    }
}
