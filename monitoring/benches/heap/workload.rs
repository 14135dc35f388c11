//! What allocates.

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;

/// Inlined, as a whole program's optimisation does with the shim between `alloc` and the global allocator: so what is added is the
/// hook, and not a call.
#[inline(always)]
unsafe fn allocate(heap: &impl GlobalAlloc, layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promises.
    unsafe { heap.alloc(layout) }
}

#[inline(always)]
unsafe fn release(heap: &impl GlobalAlloc, block: *mut u8, layout: Layout) {
    // SAFETY: the caller's promises.
    unsafe { heap.dealloc(block, layout) }
}

/// In the loop, by where in a line of the cache it begins: that alone makes a cycle more or less.
fn tight(heap: &impl GlobalAlloc, times: usize, size: usize) {
    tight_at::<0>(heap, times / 4, size);
    tight_at::<16>(heap, times / 4, size);
    tight_at::<32>(heap, times / 4, size);
    tight_at::<48>(heap, times / 4, size);
}

#[inline(never)]
fn tight_at<const BYTES: usize>(heap: &impl GlobalAlloc, times: usize, size: usize) {
    // SAFETY: does nothing.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::asm!(".rept {}", "nop", ".endr", const BYTES, options(nomem, nostack));
    }
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    for _ in 0..times {
        // SAFETY: the size is not zero, and the block is freed once with its layout.
        unsafe {
            let block = allocate(heap, black_box(layout));
            release(heap, black_box(block), black_box(layout));
        }
    }
}

/// `tight`, so many calls deep.
#[inline(never)]
pub fn deep(heap: &impl GlobalAlloc, times: usize, size: usize, depth: usize) -> usize {
    if depth == 0 {
        tight(heap, times, size);
        0
    } else {
        // The addition keeps the call from becoming a jump.
        black_box(deep(heap, times, size, depth - 1)) + 1
    }
}

/// 10,000 blocks of 8 bytes to 8 KiB, as many of each power of two; one at random is freed and another one allocated.
pub struct Mixed {
    random: u64,
    blocks: Vec<(*mut u8, Layout)>,
}

impl Mixed {
    pub fn new(heap: &impl GlobalAlloc) -> Self {
        let mut mixed = Self {
            random: 1,
            blocks: Vec::new(),
        };
        for _ in 0..10_000 {
            let layout = mixed.layout();
            // SAFETY: the size is not zero.
            mixed.blocks.push((unsafe { heap.alloc(layout) }, layout));
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

    pub fn run(&mut self, heap: &impl GlobalAlloc, times: usize) {
        for _ in 0..times {
            let layout = self.layout();
            let at = self.next() % self.blocks.len();
            let (block, old) = self.blocks[at];
            // SAFETY: the block is alive with its layout, and the size is not zero.
            unsafe {
                // What `tight` says: a program that calls the global allocator has the layout in a register in any case; a compiler
                // that sees through the plain allocator must not leave out more than the hook.
                release(heap, block, black_box(old));
                let block = black_box(allocate(heap, black_box(layout)));
                assert!(!block.is_null());
                block.write(1);
                self.blocks[at] = (block, layout);
            }
        }
    }
}

#[inline(never)]
pub fn deep_mixed(mixed: &mut Mixed, heap: &impl GlobalAlloc, times: usize, depth: usize) -> usize {
    if depth == 0 {
        mixed.run(heap, times);
        0
    } else {
        black_box(deep_mixed(mixed, heap, times, depth - 1)) + 1
    }
}
