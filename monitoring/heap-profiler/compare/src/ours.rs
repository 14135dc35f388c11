//! Our profiler over the system's allocator.

use core::alloc::GlobalAlloc;
use std::alloc::System;
use std::io;

use heap_profiler::{HeapProfile, MAX_FRAMES, Peek, Profiled, Rate, Record};

use crate::{program, recorded, talc};

/// Runs our profiler over the system's allocator, sampling if there is a rate.
pub fn system(rate: Option<f64>) -> io::Result<()> {
    static HEAP: Profiled<System> = Profiled::new(System);
    run(&HEAP, rate)
}

/// Runs our profiler over talc, as in an image.
pub fn talc(rate: Option<f64>) -> io::Result<()> {
    static HEAP: Profiled<talc::Heap> = Profiled::new(talc::Heap::new());
    recorded::ensure(HEAP.inner().claim(talc::region()), "has no memory")?;
    run(&HEAP, rate)
}

/// Runs the workload.
///
/// # Errors
/// If the profile has no whole stacks, or has lost something.
fn run(heap: &Profiled<impl GlobalAlloc + Sync>, rate: Option<f64>) -> io::Result<()> {
    heap.prepare(program::settings())
        .map_err(io::Error::other)?;
    if let Some(rate) = rate {
        let rate = Rate::new(rate).expect("a rate");
        heap.start(rate, 1).map_err(io::Error::other)?;
    }
    let (mut deepest, mut lost) = (0, 0);
    workload::serve(heap, &mut || {
        let mut frames = [0; MAX_FRAMES];
        while let Peek::Record(record) = heap.peek(&mut frames) {
            match record {
                Record::Alloc { stack, .. } => deepest = deepest.max(stack.len()),
                Record::Lost { blocks, .. } => lost += blocks,
                Record::Free { .. } => {}
            }
            heap.take(&record);
        }
    })?;
    if rate.is_none() {
        return Ok(());
    }
    recorded::ensure(lost == 0, "has lost samples")?;
    recorded::frames(core::iter::once(deepest))
}
