//! What every process of the comparison does with its allocator, and how it is told to.
#![expect(unsafe_code, reason = "calls allocators")]

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use std::io::{self, Read, Write};
use std::time::Instant;

/// Blocks that are alive.
pub const BLOCKS: usize = 10_000;
/// Replaced blocks whose time is taken. So short that a scheduler leaves most turns undisturbed.
pub const TURN: usize = 2_000;
/// Calls from the turn to the allocator, so that stacks are as deep as those of a small program.
pub const DEPTH: usize = 12;

/// Takes a turn and writes its nanoseconds per replaced block as a line for each byte that comes in; returns when none come any more.
/// After each turn `between` does what the consumer of a profile does: it takes no part in the time.
///
/// # Errors
/// As reading and writing.
pub fn serve(heap: &impl GlobalAlloc, between: &mut dyn FnMut()) -> io::Result<()> {
    let mut mixed = Mixed::new(heap);
    let (mut turns, mut times) = (io::stdin().lock(), io::stdout().lock());
    while turns.read(&mut [0])? == 1 {
        // Not timed: brings back to the caches what other processes have driven out.
        deep(&mut mixed, TURN, DEPTH);
        let start = Instant::now();
        deep(&mut mixed, TURN, DEPTH);
        let nanos = start.elapsed().as_secs_f64() * 1e9 / TURN as f64;
        between();
        writeln!(times, "{nanos}")?;
        times.flush()?;
    }
    Ok(())
}

#[inline(never)]
fn deep<A: GlobalAlloc>(mixed: &mut Mixed<'_, A>, blocks: usize, depth: usize) -> usize {
    if depth == 0 {
        mixed.replace(blocks);
        0
    } else {
        // The addition keeps the call from becoming a jump.
        black_box(deep(mixed, blocks, depth - 1)) + 1
    }
}

/// Blocks of 8 bytes to 8 KiB, as many of each power of two; one at random is freed and another one allocated.
struct Mixed<'h, A> {
    heap: &'h A,
    random: u64,
    blocks: Vec<(*mut u8, Layout)>,
}

impl<'h, A: GlobalAlloc> Mixed<'h, A> {
    fn new(heap: &'h A) -> Self {
        let mut mixed = Self {
            heap,
            random: 1,
            blocks: Vec::with_capacity(BLOCKS),
        };
        for _ in 0..BLOCKS {
            let layout = mixed.layout();
            // SAFETY: the size is not zero.
            let block = unsafe { heap.alloc(layout) };
            assert!(!block.is_null());
            mixed.blocks.push((block, layout));
        }
        mixed
    }

    fn next(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as usize
    }

    fn layout(&mut self) -> Layout {
        let power = 3 + self.next() % 10;
        let size = (1 << power) + self.next() % (1 << power) + 1;
        Layout::from_size_align(size, 8).expect("a layout")
    }

    fn replace(&mut self, blocks: usize) {
        for _ in 0..blocks {
            let layout = self.layout();
            let at = self.next() % BLOCKS;
            let (block, old) = self.blocks[at];
            // SAFETY: the block is alive with its layout, and the size is not zero.
            unsafe {
                // A compiler that sees through the plain allocator must not leave out more than the hook.
                self.heap.dealloc(block, black_box(old));
                let block = black_box(self.heap.alloc(black_box(layout)));
                assert!(!block.is_null());
                block.write(1);
                self.blocks[at] = (block, layout);
            }
        }
    }
}
