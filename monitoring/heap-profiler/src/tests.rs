//! Both heaps through `Profiled` against a model, and `Profiled` around allocators that observe it.
#![expect(unsafe_code, reason = "calls allocators")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::RefCell;
use core::mem::MaybeUninit;
use core::ptr;

use super::*;

type SpinLock = spin::mutex::SpinMutex<()>;
type ProfiledTalc = Profiled<Talc<SpinLock>>;
type ProfiledList = Profiled<LinkedList<SpinLock>>;

/// Returns memory for one heap; it is never freed.
fn region(bytes: usize) -> &'static mut [MaybeUninit<u8>] {
    let layout = Layout::from_size_align(bytes, 4096).unwrap();
    // SAFETY: the size is not zero.
    let start = unsafe { std::alloc::alloc(layout) };
    assert!(!start.is_null());
    // SAFETY: the memory was just allocated, and is never freed.
    unsafe { core::slice::from_raw_parts_mut(start.cast(), bytes) }
}

fn talc(bytes: usize) -> ProfiledTalc {
    let heap = Profiled::new(Talc::new());
    assert!(heap.inner().claim(region(bytes)));
    heap
}

fn linked_list(bytes: usize) -> ProfiledList {
    let heap = Profiled::new(LinkedList::new());
    assert!(heap.inner().claim(region(bytes)));
    heap
}

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).unwrap()
}

/// `SplitMix64` (G. Steele and others, 2014): a fixed sequence for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Returns a size: mostly small, sometimes up to 64 KiB, never zero, which `GlobalAlloc` forbids.
    fn size(&mut self) -> usize {
        let limit = 1 << self.below(17);
        1 + self.below(limit) as usize
    }

    fn align(&mut self) -> usize {
        let powers = if self.below(8) == 0 { 13 } else { 5 };
        1 << self.below(powers)
    }
}

struct Block {
    start: *mut u8,
    layout: Layout,
    fill: u8,
}

impl Block {
    fn fill(&mut self, fill: u8) {
        self.fill = fill;
        // SAFETY: the block is live and has this size.
        unsafe { self.start.write_bytes(fill, self.layout.size()) }
    }

    fn assert_intact(&self, size: usize) {
        // SAFETY: the block is live, at least this large and was filled.
        let bytes = unsafe { core::slice::from_raw_parts(self.start, size) };
        assert!(
            bytes.iter().all(|byte| *byte == self.fill),
            "a block of {:?} was overwritten",
            self.layout
        );
    }
}

/// Drives a heap at random and keeps its own counts.
struct Model<'h, H> {
    heap: &'h H,
    blocks: Vec<Block>,
    stats: HeapStats,
}

impl<H: GlobalAlloc + HeapSource> Model<'_, H> {
    fn count_alloc(&mut self, size: usize) {
        self.stats.allocations += 1;
        self.stats.allocated_bytes += size as u64;
    }

    fn count_free(&mut self, size: usize) {
        self.stats.frees += 1;
        self.stats.freed_bytes += size as u64;
    }

    fn settle(&mut self) {
        self.stats.live_blocks = self.blocks.len() as u64;
        self.stats.live_bytes = self
            .blocks
            .iter()
            .map(|block| block.layout.size() as u64)
            .sum();
        self.stats.peak_bytes = self.stats.peak_bytes.max(self.stats.live_bytes);
    }

    fn alloc(&mut self, layout: Layout, zeroed: bool, fill: u8) {
        // SAFETY: the size is not zero.
        let start = unsafe {
            if zeroed {
                self.heap.alloc_zeroed(layout)
            } else {
                self.heap.alloc(layout)
            }
        };
        if start.is_null() {
            self.stats.failed += 1;
            return;
        }
        assert_eq!(start.align_offset(layout.align()), 0, "{layout:?}");
        let mut block = Block {
            start,
            layout,
            fill: 0,
        };
        if zeroed {
            block.assert_intact(layout.size());
        }
        block.fill(fill);
        self.blocks.push(block);
        self.count_alloc(layout.size());
    }

    fn free(&mut self, index: usize) {
        let block = self.blocks.swap_remove(index);
        block.assert_intact(block.layout.size());
        // SAFETY: the block is live and was allocated with this layout.
        unsafe { self.heap.dealloc(block.start, block.layout) };
        self.count_free(block.layout.size());
    }

    fn realloc(&mut self, index: usize, size: usize, fill: u8) {
        let block = &mut self.blocks[index];
        let old = block.layout;
        // SAFETY: the block is live with this layout, and the new size is not zero.
        let start = unsafe { self.heap.realloc(block.start, old, size) };
        if start.is_null() {
            self.stats.failed += 1;
            block.assert_intact(old.size());
            return;
        }
        assert_eq!(start.align_offset(old.align()), 0, "{old:?} to {size}");
        block.start = start;
        block.assert_intact(old.size().min(size));
        block.layout = layout(size, old.align());
        block.fill(fill);
        self.count_alloc(size);
        self.count_free(old.size());
    }

    fn run(&mut self, seed: u64, steps: usize) {
        let mut random = Random(seed);
        for step in 0..steps {
            let fill = step as u8;
            let index =
                (!self.blocks.is_empty()).then(|| random.below(self.blocks.len() as u64) as usize);
            match (random.below(10), index) {
                (0..4, _) | (_, None) => self.alloc(
                    layout(random.size(), random.align()),
                    random.below(3) == 0,
                    fill,
                ),
                (4..7, Some(index)) => self.realloc(index, random.size(), fill),
                (_, Some(index)) => self.free(index),
            }
            self.settle();
            let own = self.heap.stats();
            let extent = HeapStats {
                size_bytes: own.size_bytes,
                free_bytes: own.free_bytes,
                largest_free_bytes: own.largest_free_bytes,
                ..self.stats
            };
            assert_eq!(own, extent, "step {step}");
            assert!(own.free_bytes + own.live_bytes <= own.size_bytes);
            assert!(own.largest_free_bytes.unwrap_or(0) <= own.free_bytes);
        }
        while !self.blocks.is_empty() {
            self.free(0);
        }
    }
}

/// The size of a region that the workload exceeds now and then.
const TIGHT: usize = 256 << 10;

fn agrees_with_the_model(heap: &(impl GlobalAlloc + HeapSource)) {
    let before = heap.stats();
    for seed in 0..8 {
        let stats = heap.stats();
        let mut model = Model {
            heap,
            blocks: Vec::new(),
            stats,
        };
        model.run(seed, 3_000);
    }
    let after = heap.stats();
    assert!(after.failed > 0, "the region was never exhausted");
    assert_eq!((after.live_bytes, after.live_blocks), (0, 0));
    assert_eq!(
        after.free_bytes, before.free_bytes,
        "the free memory is not one piece"
    );
    assert_eq!(after.size_bytes, before.size_bytes);
}

#[test]
fn talc_agrees_with_the_model() {
    agrees_with_the_model(&talc(TIGHT));
}

#[test]
fn linked_list_agrees_with_the_model() {
    agrees_with_the_model(&linked_list(TIGHT));
}

fn fails_before_the_claim(heap: &(impl GlobalAlloc + HeapSource)) {
    // SAFETY: the sizes are not zero.
    unsafe {
        assert!(heap.alloc(layout(1, 1)).is_null());
        assert!(heap.alloc_zeroed(layout(100, 4096)).is_null());
    }
    assert_eq!(
        heap.stats(),
        HeapStats {
            failed: 2,
            largest_free_bytes: heap.stats().largest_free_bytes,
            ..HeapStats::default()
        }
    );
}

#[test]
fn before_the_claim_every_allocation_fails_and_is_counted() {
    fails_before_the_claim(&ProfiledTalc::default());
    fails_before_the_claim(&ProfiledList::default());
    assert_eq!(ProfiledTalc::default().stats().largest_free_bytes, Some(0));
}

#[test]
fn a_region_is_taken_once_and_only_if_it_is_of_use() {
    let heap = Talc::<SpinLock>::new();
    assert!(!heap.claim(&mut []));
    assert!(!heap.claim(region(64)));
    assert!(heap.claim(region(1 << 16)));
    assert!(!heap.claim(region(1 << 16)));
    assert_eq!(heap.size_bytes(), 1 << 16);
    let heap = LinkedList::<SpinLock>::new();
    assert!(!heap.claim(&mut []));
    assert!(!heap.claim(region(16)));
    assert!(heap.claim(region(1 << 16)));
    assert!(!heap.claim(region(1 << 16)));
    assert_eq!(heap.size_bytes(), 1 << 16);
}

#[test]
fn absurd_sizes_are_refused() {
    fn refuses(heap: &(impl GlobalAlloc + HeapSource)) {
        for size in [
            TIGHT + 1,
            2 * TIGHT,
            usize::MAX >> 2,
            isize::MAX as usize - 4095,
        ] {
            for align in [1, 8, 4096] {
                // SAFETY: the sizes are not zero.
                let block = unsafe { heap.alloc(layout(size, align)) };
                assert!(block.is_null(), "{size} {align}");
            }
        }
        assert_eq!(heap.stats().failed, 12);
    }
    refuses(&talc(TIGHT));
    refuses(&linked_list(TIGHT));
}

#[test]
fn talc_tells_its_largest_free_block() {
    let heap = talc(1 << 20);
    let largest = |heap: &ProfiledTalc| heap.stats().largest_free_bytes.unwrap() as usize;
    // SAFETY: sizes are not zero, and blocks are freed with their layouts.
    unsafe {
        let blocks: Vec<_> = (0..8).map(|_| heap.alloc(layout(100_000, 8))).collect();
        assert!(blocks.iter().all(|block| !block.is_null()));
        for index in [1, 4, 5] {
            heap.dealloc(blocks[index], layout(100_000, 8));
        }
        let free = heap.stats().free_bytes as usize;
        let told = largest(&heap);
        assert!(free > 400_000 && told < 300_000, "{told} of {free}");
        let block = heap.alloc(layout(told, 8));
        assert!(!block.is_null());
        heap.dealloc(block, layout(told, 8));
        assert!(heap.alloc(layout(told + free / 64 + 16, 8)).is_null());
    }
}

#[test]
fn talc_grows_and_shrinks_in_place_and_that_is_a_free_and_an_allocation() {
    let heap = talc(TIGHT);
    // SAFETY: sizes are not zero, and the block is freed with its last layout.
    unsafe {
        let block = heap.alloc(layout(100, 8));
        assert_eq!(heap.realloc(block, layout(100, 8), 10_000), block);
        assert_eq!(heap.realloc(block, layout(10_000, 8), 50), block);
        heap.dealloc(block, layout(50, 8));
    }
    let stats = heap.stats();
    assert_eq!((stats.allocations, stats.frees), (3, 3));
    assert_eq!((stats.allocated_bytes, stats.freed_bytes), (10_150, 10_150));
    assert_eq!((stats.live_bytes, stats.peak_bytes), (0, 10_000));
}

/// An allocator that refuses every second request, and records its calls.
#[derive(Default)]
struct Spy(RefCell<Vec<&'static str>>);

impl Spy {
    fn answer(&self, call: &'static str) -> *mut u8 {
        self.0.borrow_mut().push(call);
        if self.0.borrow().len() % 2 == 1 {
            ptr::dangling_mut()
        } else {
            ptr::null_mut()
        }
    }
}

// SAFETY: the returned pointers are never used.
unsafe impl GlobalAlloc for Spy {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        self.answer("alloc")
    }

    unsafe fn alloc_zeroed(&self, _: Layout) -> *mut u8 {
        self.answer("alloc_zeroed")
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
        self.answer("dealloc");
    }

    unsafe fn realloc(&self, _: *mut u8, _: Layout, _: usize) -> *mut u8 {
        self.answer("realloc")
    }
}

#[test]
fn all_four_methods_are_forwarded_as_themselves() {
    let heap = Profiled::new(Spy::default());
    // SAFETY: the spy does not use its arguments.
    unsafe {
        heap.alloc(layout(8, 8));
        heap.alloc_zeroed(layout(8, 8));
        heap.realloc(ptr::dangling_mut(), layout(8, 8), 16);
        heap.realloc(ptr::dangling_mut(), layout(16, 8), 32);
        heap.dealloc(ptr::dangling_mut(), layout(16, 8));
    }
    assert_eq!(
        *heap.inner().0.borrow(),
        ["alloc", "alloc_zeroed", "realloc", "realloc", "dealloc"]
    );
}

/// An allocator that reads the counts of its heap during every call, as a task that preempts the hook would.
struct Peeping {
    heap: std::sync::OnceLock<&'static Profiled<Self>>,
    readings: std::sync::Mutex<Vec<HeapStats>>,
}

impl Peeping {
    fn peep(&self) {
        if let Some(heap) = self.heap.get() {
            self.readings.lock().unwrap().push(heap.stats());
        }
    }
}

// SAFETY: the methods pass their arguments on to the system's allocator.
unsafe impl GlobalAlloc for Peeping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.peep();
        // SAFETY: the caller keeps the same contract.
        unsafe { std::alloc::System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.peep();
        // SAFETY: the caller keeps the same contract.
        unsafe { std::alloc::System.dealloc(block, layout) }
    }
}

impl Extent for Peeping {
    fn size_bytes(&self) -> u64 {
        0
    }

    fn free_bytes(&self) -> u64 {
        0
    }

    fn largest_free_bytes(&self) -> Option<u64> {
        None
    }
}

#[test]
fn a_reading_from_inside_the_allocator_is_never_negative_and_never_goes_back() {
    let inner = Peeping {
        heap: std::sync::OnceLock::new(),
        readings: std::sync::Mutex::default(),
    };
    let heap: &'static Profiled<Peeping> = Box::leak(Box::new(Profiled::new(inner)));
    assert!(heap.inner().heap.set(heap).is_ok());
    // SAFETY: sizes are not zero, and the block is freed with its last layout.
    unsafe {
        let block = heap.alloc(layout(100, 8));
        let block = heap.realloc(block, layout(100, 8), 300);
        heap.dealloc(block, layout(300, 8));
    }
    let readings = heap.inner().readings.lock().unwrap();
    let live: Vec<_> = readings
        .iter()
        .map(|stats| (stats.live_blocks, stats.live_bytes))
        .collect();
    // alloc; realloc allocates, copies, frees; dealloc.
    assert_eq!(live, [(0, 0), (1, 100), (1, 100), (0, 0)]);
    for pair in readings.windows(2) {
        assert!(pair[0].allocations <= pair[1].allocations && pair[0].frees <= pair[1].frees);
        assert!(
            pair[0].allocated_bytes <= pair[1].allocated_bytes
                && pair[0].freed_bytes <= pair[1].freed_bytes
        );
    }
}
