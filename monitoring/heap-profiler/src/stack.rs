//! The stack of the task that allocates. The crate [`unwind`] has the rules of the walk; a panic's backtrace uses them
//! too.

use core::mem::MaybeUninit;
use core::ops::Range;

use super::ring::MAX_FRAMES;

/// The facts about the machine that a walk needs.
///
/// Implementer's duties: the functions may be called inside the allocator, with interrupts masked, and from an
/// interrupt. They must not allocate, lock or make a system call.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The addresses of the image's code, at most 4 GiB. A stack ends at the first return address outside.
    pub code: Range<usize>,
    /// Returns `true` if the page of 4096 bytes at this address can be read. A walk asks for each page of the calling
    /// task's stack that it comes to, except the innermost one.
    pub readable: fn(page: usize) -> bool,
    /// Returns the time, in a unit that the consumer knows. It need not be monotonic across tasks.
    pub ticks: fn() -> u64,
}

/// Bytes of a page, the smallest unit of mapped memory.
const PAGE_BYTES: usize = 4096;

/// Return addresses as distances from the beginning of the code, innermost first, two in a word as in the ring. A
/// processor stalls when it reads a word that was just written in two pieces.
pub(super) struct Stack {
    pairs: [MaybeUninit<u64>; MAX_FRAMES / 2],
    /// The number of return addresses.
    pub frames: usize,
    /// `true` if there were more than [`MAX_FRAMES`].
    pub truncated: bool,
}

impl Stack {
    /// Creates an empty stack without zeroing its memory.
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            pairs: [const { MaybeUninit::uninit() }; MAX_FRAMES / 2],
            frames: 0,
            truncated: false,
        }
    }

    /// Walks outwards from `frame`: a frame pointer of the calling task's stack, or any number if the program has no
    /// frame pointers. `self` must be on that stack.
    #[inline(always)]
    pub fn walk(&mut self, frame: usize, machine: &Machine) {
        let here = (&raw const *self).addr();
        // Without frame pointers the register holds any value. A frame of this stack is above its innermost value, and
        // near.
        if frame < here || frame - here > unwind::MAX_FRAME_BYTES {
            return;
        }
        let start = machine.code.start;
        let code_bytes = machine.code.end.saturating_sub(start);
        // Frames up to here can be read: their page holds a local variable, or was checked.
        let mut last = last_frame(here);
        let read = |frame: usize| {
            if frame > last {
                if !readable(machine, frame) {
                    return None;
                }
                last = last_frame(frame);
            }
            let words = core::ptr::with_exposed_provenance::<usize>(frame);
            // SAFETY: both words can be read, see `last`. The walk asks for aligned addresses, each above the one
            // before and all above `here`. Any word can be read as a number; the read is volatile because the compiler
            // does not know of these words.
            #[expect(unsafe_code, reason = "reads the stack")]
            unsafe {
                Some([words.read_volatile(), words.add(1).read_volatile()])
            }
        };
        let in_image = |address: usize| address.wrapping_sub(start) < code_bytes;
        let mut distances =
            unwind::walk(frame, in_image, read).map(|address| address.wrapping_sub(start) as u64);
        let mut frames = 0;
        for place in &mut self.pairs {
            let Some(inner) = distances.next() else { break };
            frames += 1;
            let Some(outer) = distances.next() else {
                place.write(inner);
                break;
            };
            frames += 1;
            place.write(inner | outer << 32);
        }
        self.truncated = frames == MAX_FRAMES && distances.next().is_some();
        self.frames = frames;
    }

    #[inline(always)]
    pub fn pairs(&self) -> &[u64] {
        // SAFETY: `walk` has written the first `frames` distances, which fit the array, and so these words.
        #[expect(unsafe_code, reason = "the rest of the array is never written")]
        unsafe {
            core::slice::from_raw_parts(self.pairs.as_ptr().cast(), self.frames.div_ceil(2))
        }
    }
}

/// Returns the highest address of a frame in the page of `address`.
#[inline(always)]
fn last_frame(address: usize) -> usize {
    (address | (PAGE_BYTES - 1)) - (size_of::<unwind::Frame>() - 1)
}

/// Returns `true` if a frame can be read: its page, and the next one if the frame reaches it.
#[cold]
#[inline(never)]
fn readable(machine: &Machine, frame: usize) -> bool {
    let page = frame & !(PAGE_BYTES - 1);
    let goes_on = frame > last_frame(frame);
    (machine.readable)(page)
        && (!goes_on || page.checked_add(PAGE_BYTES).is_some_and(machine.readable))
}

/// Returns the frame pointer of the function into which this is inlined; 0 if there is none to read.
#[inline(always)]
pub(super) fn frame_pointer() -> usize {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let frame: usize;
        // SAFETY: reads a register.
        #[expect(unsafe_code, reason = "reads a register")]
        unsafe {
            core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags));
        }
        frame
    }
    #[cfg(all(target_arch = "aarch64", not(miri)))]
    {
        let frame: usize;
        // SAFETY: reads a register.
        #[expect(unsafe_code, reason = "reads a register")]
        unsafe {
            core::arch::asm!("mov {}, x29", out(reg) frame, options(nomem, nostack, preserves_flags));
        }
        frame
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    0
}

#[cfg(test)]
mod tests;
