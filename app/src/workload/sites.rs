//! The allocation sites of [`exact`](super::exact): functions that are never inlined, so that each is one frame of a backtrace.
//!
//! A site makes a block, puts it into the site's ring and thereby frees the oldest block of that ring. Together the sites cover the
//! four methods of `GlobalAlloc` (`alloc`, `alloc_zeroed`, `realloc`, `dealloc`), alignment above that of a word, and a deep stack.
//! Their bodies differ, because the compiler merges equal functions.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;

use crate::random::Random;

/// A site's action on the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A block of this many bytes was allocated.
    Alloc(usize),
    /// A block was freed.
    Free,
}

/// An allocation site: its name, how often it is used, and the function of one use.
pub struct Site {
    /// The name of the function that allocates.
    pub name: &'static str,
    /// The number of uses of this site among [`WEIGHTS`] uses. Sites with smaller blocks are used more often, so that no site hides
    /// the others.
    weight: u32,
    run: fn(&mut Slots, &mut Random, &mut dyn FnMut(Event)),
}

impl Site {
    /// Draws a site by the weights and returns its index in [`SITES`].
    pub fn draw(random: &mut Random) -> usize {
        let mut rest = random.below(WEIGHTS);
        let drawn = |site: &Site| {
            let drawn = rest < site.weight;
            rest = rest.wrapping_sub(site.weight);
            drawn
        };
        SITES.iter().position(drawn).unwrap_or_default()
    }

    /// Uses the site once and reports the events on the heap to `count`: at most one allocation and one free.
    pub fn use_it(&self, slots: &mut Slots, random: &mut Random, count: &mut dyn FnMut(Event)) {
        (self.run)(slots, random, count);
    }
}

/// The number of sites.
pub const COUNT: usize = SITES.len();
/// The sum of the weights.
pub const WEIGHTS: u32 = 64;

/// The sites, in the order of the image's last line.
pub static SITES: [Site; 8] = [
    Site {
        name: "small_order",
        weight: 14,
        run: |slots, _, count| slots.orders.keep(small_order(), count),
    },
    Site {
        name: "aligned_session",
        weight: 10,
        run: |slots, _, count| slots.sessions.keep(aligned_session(), count),
    },
    Site {
        name: "short_name",
        weight: 14,
        run: |slots, random, count| slots.names.keep(short_name(random.within(1..=40)), count),
    },
    Site {
        name: "answer_text",
        weight: 8,
        run: |slots, random, count| {
            let bytes = random.within(41..=1024);
            slots.answers.keep(answer_text(bytes), count);
        },
    },
    Site {
        name: "zeroed_page",
        weight: 2,
        run: |slots, _, count| slots.pages.keep(zeroed_page(), count),
    },
    Site {
        name: "large_buffer",
        weight: 1,
        run: |slots, random, count| {
            let bytes = random.within(LARGE_MIN..=LARGE_MAX);
            slots.buffers.keep(large_buffer(bytes), count);
        },
    },
    Site {
        name: "growing_list",
        weight: 5,
        run: |slots, _, count| grow_or_begin_anew(&mut slots.list, count),
    },
    Site {
        name: "deep_leaf",
        weight: 10,
        run: |slots, random, count| {
            let depth = random.within(1..=DEPTH_MAX);
            slots.leaves.keep(descend(depth as u64), count);
        },
    },
];

const _: () = {
    let (mut sum, mut n) = (0, 0);
    while n < COUNT {
        sum += SITES[n].weight;
        n += 1;
    }
    assert!(sum == WEIGHTS);
};

/// The bytes of `zeroed_page`.
const PAGE_BYTES: usize = 4096;
/// The bytes of `large_buffer`. [`RING_LARGE`] of them are half of the bytes that the workload may keep alive.
const LARGE_MIN: usize = 8 * 1024;
const LARGE_MAX: usize = 64 * 1024;
/// The words by which `growing_list` grows, and the length at which it begins again.
const LIST_STEP: usize = 16;
const LIST_MAX: usize = 512;
/// The most calls between the step and `deep_leaf`. They make backtraces of different depths; a frame costs only stack.
const DEPTH_MAX: usize = 24;
/// The numbers of blocks that a ring keeps: of small ones, pages, large ones.
const RING_SMALL: usize = 32;
const RING_PAGES: usize = 16;
const RING_LARGE: usize = 4;

/// The blocks that are alive.
#[derive(Debug, Default)]
pub struct Slots {
    orders: Ring<Box<Order>, RING_SMALL>,
    sessions: Ring<Box<Session>, RING_SMALL>,
    names: Ring<String, RING_SMALL>,
    answers: Ring<String, RING_SMALL>,
    pages: Ring<Vec<u8>, RING_PAGES>,
    buffers: Ring<Vec<u8>, RING_LARGE>,
    list: Vec<u64>,
    leaves: Ring<Box<Leaf>, RING_SMALL>,
}

type Order = [u32; 5];
type Leaf = [u64; 7];

/// A block with the alignment of a cache line.
#[derive(Debug)]
#[repr(align(64))]
struct Session(#[expect(dead_code, reason = "only its size and alignment matter")] [u8; 128]);

/// The last `N` blocks of a site.
#[derive(Debug)]
struct Ring<T, const N: usize> {
    blocks: [Option<T>; N],
    next: usize,
}

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self {
            blocks: [const { None }; N],
            next: 0,
        }
    }
}

impl<T: Block, const N: usize> Ring<T, N> {
    /// Keeps `block`, frees the oldest one when the ring is full, and reports both.
    fn keep(&mut self, block: T, count: &mut dyn FnMut(Event)) {
        count(Event::Alloc(block.bytes()));
        let oldest = self.blocks[self.next].replace(block);
        self.next = (self.next + 1) % N;
        if oldest.is_some() {
            drop(oldest);
            count(Event::Free);
        }
    }
}

/// An owner of one block of the heap that knows the block's size.
trait Block {
    /// Returns the size in bytes that was asked for.
    fn bytes(&self) -> usize;
}

impl<T> Block for Box<T> {
    fn bytes(&self) -> usize {
        size_of::<T>()
    }
}

impl Block for String {
    fn bytes(&self) -> usize {
        self.capacity()
    }
}

impl<T> Block for Vec<T> {
    fn bytes(&self) -> usize {
        self.capacity() * size_of::<T>()
    }
}

fn grow_or_begin_anew(list: &mut Vec<u64>, count: &mut dyn FnMut(Event)) {
    if list.len() >= LIST_MAX {
        *list = Vec::new();
        count(Event::Free);
        return;
    }
    let moved = !list.is_empty();
    growing_list(list);
    if moved {
        count(Event::Free);
    }
    count(Event::Alloc(list.bytes()));
}

#[inline(never)]
fn small_order() -> Box<Order> {
    black_box(Box::new([1; 5]))
}

#[inline(never)]
fn aligned_session() -> Box<Session> {
    black_box(Box::new(Session([2; 128])))
}

#[inline(never)]
fn short_name(bytes: usize) -> String {
    let mut name = String::with_capacity(bytes);
    name.push('n');
    black_box(name)
}

#[inline(never)]
fn answer_text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    text.push_str("200 ");
    black_box(text)
}

#[inline(never)]
fn zeroed_page() -> Vec<u8> {
    black_box(alloc::vec![0; PAGE_BYTES])
}

#[inline(never)]
fn large_buffer(bytes: usize) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(bytes);
    buffer.push(3);
    black_box(buffer)
}

/// Extends the list. A list without room is moved to a larger block or grown in place: a `realloc`. The first time it is an
/// `alloc`.
#[inline(never)]
fn growing_list(list: &mut Vec<u64>) {
    list.reserve_exact(LIST_STEP);
    list.resize(list.len() + LIST_STEP, 4);
    black_box(list);
}

/// Calls itself `depth` times. The arithmetic after the call keeps the compiler from making it a loop.
#[inline(never)]
fn descend(depth: u64) -> Box<Leaf> {
    if depth == 0 {
        return deep_leaf();
    }
    let mut leaf = descend(depth - 1);
    leaf[0] = black_box(leaf[0] + depth);
    leaf
}

#[inline(never)]
fn deep_leaf() -> Box<Leaf> {
    black_box(Box::new([5; 7]))
}
