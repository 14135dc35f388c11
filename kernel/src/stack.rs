//! Measures the high-water marks of stacks.
//!
//! The kernel clears the stack of each new task (`TaskStacks::new`), also when another task used the memory before. So the lowest
//! word that is not 0 is the deepest one that was ever written. A used word of 0 at the very end looks like an unused one, so the
//! mark is a lower bound, in practice by a few words.
//!
//! ```text
//!   guard page    base             cursor            mark               base + size
//!       |          |0 0 0 0 0 0 0 0 0|0 0 0 0 0 0 0 0 0|x x 0 x x x x x x x|
//!                  [   this pass      ][  still to read  ][   used           ]
//! ```
//! A pass reads upwards from `base`. The first word that is not 0 becomes the new mark, and the next pass begins. The mark only
//! moves towards `base`, so no word above it is read again.

use core::fmt;

/// The number of stacks that can be watched: monitoring's, main's, and six of the application's. Each costs 64 bytes.
pub const MAX_STACKS: usize = 8;
/// The largest number of bytes of one stack that one call reads: all of monitoring's at once, main's 1 MiB in 16 calls.
#[cfg(target_os = "hermit")]
const TURN_BYTES: usize = 64 << 10;
/// The number of bytes that are read at a time with interrupts masked: about 3 µs under QEMU's TCG.
const STEP_BYTES: usize = 4 << 10;
const WORD: usize = size_of::<u64>();
#[cfg(target_os = "hermit")]
const _: () = assert!(TURN_BYTES.is_multiple_of(STEP_BYTES));

/// The high-water mark of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackUse {
    /// The name that the task gave to its stack.
    pub name: &'static str,
    /// Size in bytes, without the guard page.
    pub size_bytes: usize,
    /// The most bytes that were in use at once, as far as the stack has been read.
    pub high_water_bytes: usize,
}

/// The reason why a stack cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchError {
    /// There are [`MAX_STACKS`] watched stacks already.
    Full {
        /// The task that is not watched.
        name: &'static str,
    },
    /// Another task has this name, or this task is watched under another name.
    Taken {
        /// The name that is in use.
        name: &'static str,
    },
}

impl fmt::Display for WatchError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { name } => {
                write!(
                    formatter,
                    "stack of {name:?}: there are {MAX_STACKS} watched stacks already"
                )
            }
            Self::Taken { name } => write!(formatter, "stack {name:?}: watched already"),
        }
    }
}

impl core::error::Error for WatchError {}

/// The place of a stack and the known part of it. Addresses are multiples of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gauge {
    name: &'static str,
    base: usize,
    size: usize,
    /// Everything from here up counts as used.
    mark: usize,
    /// Everything from `base` up to here was 0 in the current pass.
    cursor: usize,
}

impl Gauge {
    fn new(name: &'static str, base: usize, size: usize) -> Self {
        Self {
            name,
            base,
            size,
            mark: base + size,
            cursor: base,
        }
    }

    /// Continues the pass by at most [`STEP_BYTES`]. `word` returns the word at an address. Returns true at the end of a pass.
    fn step(&mut self, word: impl Fn(usize) -> u64) -> bool {
        let end = self.mark.min(self.cursor + STEP_BYTES);
        while self.cursor < end {
            if word(self.cursor) != 0 {
                self.mark = self.cursor;
                break;
            }
            self.cursor += WORD;
        }
        let done = self.cursor == self.mark;
        if done {
            self.cursor = self.base;
        }
        done
    }

    fn usage(&self) -> StackUse {
        StackUse {
            name: self.name,
            size_bytes: self.size,
            high_water_bytes: self.base + self.size - self.mark,
        }
    }
}

/// The watched stacks.
struct Table([Option<Gauge>; MAX_STACKS]);

impl Table {
    const fn new() -> Self {
        Self([None; MAX_STACKS])
    }

    fn insert(&mut self, gauge: Gauge) -> Result<(), WatchError> {
        let mut known = self.0.iter().flatten();
        if let Some(there) = known.find(|it| it.name == gauge.name || it.base == gauge.base) {
            return Err(WatchError::Taken { name: there.name });
        }
        let free = self.0.iter_mut().find(|slot| slot.is_none());
        *free.ok_or(WatchError::Full { name: gauge.name })? = Some(gauge);
        Ok(())
    }

    fn remove(&mut self, address: usize) {
        for slot in &mut self.0 {
            if slot.is_some_and(|it| (it.base..it.base + it.size).contains(&address)) {
                *slot = None;
            }
        }
    }
}

#[cfg(target_os = "hermit")]
pub use live::{forget_own, own, watch_own, watched};

#[cfg(target_os = "hermit")]
mod live {
    use core::ptr;

    use super::{Gauge, MAX_STACKS, STEP_BYTES, StackUse, TURN_BYTES, Table, WatchError};
    use crate::memory::{self, PAGE_BYTES};
    use crate::sync::IrqLock;

    /// A stack in this table is mapped, because its task has not ended: a task takes its stack out of the table before it ends. So
    /// code that reads a stack holds this lock.
    static TABLE: IrqLock<Table> = IrqLock::new(Table::new());

    pub fn watch_own(name: &'static str) -> Result<(), WatchError> {
        let (base, size) = own();
        TABLE.lock().insert(Gauge::new(name, base, size))
    }

    /// Takes the calling task's stack out of the table; the task is about to end.
    pub fn forget_own() {
        TABLE.lock().remove(here());
    }

    pub fn watched() -> impl Iterator<Item = StackUse> {
        (0..MAX_STACKS).filter_map(|slot| {
            for _ in 0..TURN_BYTES / STEP_BYTES {
                // Each step takes the lock anew: between two steps the stack's task may run and end, and its stack may be gone.
                let done = TABLE.lock().0[slot].as_mut()?.step(|address| {
                    // SAFETY: the address is inside a stack in the table, which is mapped while the lock is held. It is aligned,
                    // because a stack begins at a page. Volatile: the stack's task writes to it whenever it runs.
                    unsafe { ptr::with_exposed_provenance::<u64>(address).read_volatile() }
                });
                if done {
                    break;
                }
            }
            TABLE.lock().0[slot].as_ref().map(Gauge::usage)
        })
    }

    /// Returns an address on the calling task's stack.
    #[inline(never)]
    fn here() -> usize {
        let word = 0u8;
        (&raw const word).expose_provenance()
    }

    /// Returns the start and the size of the calling task's stack. The kernel maps each stack between two pages that are not
    /// mapped.
    pub fn own() -> (usize, usize) {
        let page = here() / PAGE_BYTES * PAGE_BYTES;
        let mut base = page;
        while memory::physical(base - PAGE_BYTES).is_some() {
            base -= PAGE_BYTES;
        }
        let mut end = page + PAGE_BYTES;
        while memory::physical(end).is_some() {
            end += PAGE_BYTES;
        }
        (base, end - base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: usize = 0x7000_0000;

    /// A stack in the test's memory, at [`BASE`].
    struct Stack(Vec<u64>);

    impl Stack {
        fn of(bytes: usize) -> Self {
            Self(vec![0; bytes / WORD])
        }

        fn word(&self, address: usize) -> u64 {
            assert!(address.is_multiple_of(WORD));
            self.0[(address - BASE) / WORD]
        }

        /// Uses the word that ends this many bytes below the top.
        fn touch(&mut self, depth: usize) {
            let words = self.0.len();
            self.0[words - depth / WORD] = 1;
        }

        /// Returns the used bytes, by reading everything.
        fn used(&self) -> usize {
            let unused = self.0.iter().position(|&word| word != 0);
            (self.0.len() - unused.unwrap_or(self.0.len())) * WORD
        }
    }

    fn pass(gauge: &mut Gauge, stack: &Stack) -> usize {
        let mut steps = 1;
        while !gauge.step(|address| stack.word(address)) {
            steps += 1;
        }
        steps
    }

    #[test]
    fn after_a_whole_pass_the_mark_is_the_lowest_used_word() {
        for size in [4096, 32 << 10, (64 << 10) + 4096] {
            let mut stack = Stack::of(size);
            let mut gauge = Gauge::new("t", BASE, size);
            pass(&mut gauge, &stack);
            assert_eq!(gauge.usage().high_water_bytes, 0);
            for depth in [8, 16, 1000, 992, 4088, 4096, 5000 / 8 * 8, 30_000, size] {
                if depth > size {
                    continue;
                }
                stack.touch(depth);
                pass(&mut gauge, &stack);
                assert_eq!(
                    gauge.usage().high_water_bytes,
                    stack.used(),
                    "{depth} of {size}"
                );
            }
            assert_eq!(gauge.usage().high_water_bytes, size);
            assert!(
                gauge.step(|_| panic!("reads a word")),
                "all is used: nothing is left to read"
            );
        }
    }

    #[test]
    fn a_frame_that_leaves_most_of_its_pages_untouched_counts_whole() {
        let mut stack = Stack::of(64 << 10);
        stack.touch(8);
        stack.touch(40_000);
        let mut gauge = Gauge::new("t", BASE, 64 << 10);
        pass(&mut gauge, &stack);
        assert_eq!(gauge.usage().high_water_bytes, 40_000);
    }

    #[test]
    fn a_step_reads_at_most_its_share() {
        let stack = Stack::of(64 << 10);
        let mut gauge = Gauge::new("t", BASE, 64 << 10);
        let read = core::cell::Cell::new(0);
        let done = gauge.step(|address| {
            read.set(read.get() + WORD);
            stack.word(address)
        });
        assert!(!done);
        assert_eq!(read.get(), STEP_BYTES);
        assert_eq!(pass(&mut gauge, &stack), 15);
    }

    #[test]
    fn what_is_used_while_a_pass_runs_is_seen_by_the_next_at_the_latest() {
        let mut stack = Stack::of(16 << 10);
        stack.touch(8);
        let mut gauge = Gauge::new("t", BASE, 16 << 10);
        assert!(!gauge.step(|address| stack.word(address)));
        // Below the cursor, where this pass has already read.
        stack.touch((16 << 10) - 64);
        pass(&mut gauge, &stack);
        pass(&mut gauge, &stack);
        assert_eq!(gauge.usage().high_water_bytes, stack.used());
    }

    #[test]
    fn names_and_stacks_are_watched_once_and_slots_are_used_again() {
        const NAMES: [&str; MAX_STACKS] = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let mut table = Table::new();
        for (index, name) in NAMES.into_iter().enumerate() {
            let base = BASE + index * 0x10_000;
            assert_eq!(table.insert(Gauge::new(name, base, 0x8000)), Ok(()));
            assert_eq!(
                table.insert(Gauge::new("again", base, 0x8000)),
                Err(WatchError::Taken { name })
            );
            assert_eq!(
                table.insert(Gauge::new(name, 0x1000, 0x8000)),
                Err(WatchError::Taken { name })
            );
        }
        let late = Gauge::new("late", 0x1000, 0x8000);
        assert_eq!(table.insert(late), Err(WatchError::Full { name: "late" }));
        // The guard page above belongs to no stack, but the last word does.
        table.remove(BASE + 0x8000);
        assert_eq!(table.insert(late), Err(WatchError::Full { name: "late" }));
        table.remove(BASE + 0x7ff8);
        assert_eq!(table.insert(late), Ok(()));
    }

    #[test]
    fn errors_name_the_task() {
        assert_eq!(
            WatchError::Full { name: "pool 9" }.to_string(),
            "stack of \"pool 9\": there are 8 watched stacks already"
        );
        assert_eq!(
            WatchError::Taken { name: "main" }.to_string(),
            "stack \"main\": watched already"
        );
    }
}
