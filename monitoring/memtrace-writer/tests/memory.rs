//! The encoder takes its memory once, and as much as it states.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use core::num::NonZeroU64;
use std::alloc::System;

use memtrace_writer::{
    Alloc, CollectError, Encoder, Info, Location, MEMORY, ObjectId, Resolve, UnixMicros,
};

/// Counts the bytes that each thread takes.
struct Counting;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: both methods pass their arguments on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + layout.size()));
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const INFO: Info<'_> = Info {
    start: UnixMicros(0),
    rate: 1.0,
    executable: "app.elf",
    host: "web-1",
    parameters: "",
    pid: 1,
    context: "",
};

struct Names;

impl Resolve for Names {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        const FILES: [&str; 3] = ["a.rs", "b.rs", "NUL \0.rs"];
        (index < 3).then_some(Location {
            function: "a::function",
            file: FILES[code as usize % 3],
            line: code as u32,
            ..Location::default()
        })
    }
}

#[test]
fn memory_is_taken_once_and_is_what_was_said() {
    let before = TAKEN.get();
    let mut encoder = Encoder::new(&INFO);
    assert_eq!(TAKEN.get() - before + size_of_val(&encoder), MEMORY);
    let taken = TAKEN.get();
    for trace in 1..=2 {
        encoder.restart(&INFO);
        let mut at = 0;
        while encoder.counts().packets < 200 {
            at += 1;
            let now = UnixMicros(at);
            let block = Alloc::new(at % 1_000, NonZeroU64::MIN);
            // More codes than the cache has slots.
            let stack = (0..at % 140).map(|depth| 20 + (depth * at * trace) % 50_000);
            let full = encoder.alloc(now, block, stack, &mut Names).is_err()
                || encoder.collect(now, ObjectId(at / 2)) == Err(CollectError::Full);
            if full || at % 100 == 0 {
                encoder.flush();
            }
        }
        let counts = encoder.counts();
        assert!(
            counts.evictions > 100 && counts.collects > 100,
            "{counts:?}"
        );
    }
    assert_eq!(TAKEN.get(), taken);
}
