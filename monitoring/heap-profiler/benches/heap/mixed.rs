//! Blocks of many sizes, replaced at random.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;

/// Blocks that are alive.
pub const BLOCKS: usize = 10_000;

/// Blocks of 8 bytes to 8 KiB, equally many for each power of two. Each step frees one at random and allocates another.
pub struct Mixed {
    random: u64,
    blocks: Vec<(*mut u8, Layout)>,
}

impl Mixed {
    pub fn new(heap: &impl GlobalAlloc) -> Self {
        let mut mixed = Self {
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

    /// Replaces `blocks` blocks from `depth` calls further down.
    #[inline(never)]
    pub fn replace(&mut self, heap: &impl GlobalAlloc, blocks: usize, depth: usize) -> usize {
        if depth == 0 {
            self.replace_here(heap, blocks);
            0
        } else {
            // The addition keeps the call from becoming a jump.
            black_box(self.replace(heap, blocks, depth - 1)) + 1
        }
    }

    fn replace_here(&mut self, heap: &impl GlobalAlloc, blocks: usize) {
        for _ in 0..blocks {
            let layout = self.layout();
            let at = self.next() % BLOCKS;
            let (block, old) = self.blocks[at];
            // SAFETY: the block is alive with its layout, and the size is not zero.
            unsafe {
                // A program that calls the global allocator always has the layout in a register. The compiler must not
                // remove that work for the plain allocator, or the hook would seem to cost more.
                heap.dealloc(block, black_box(old));
                let block = black_box(heap.alloc(black_box(layout)));
                assert!(!block.is_null());
                block.write(1);
                self.blocks[at] = (block, layout);
            }
        }
    }
}
