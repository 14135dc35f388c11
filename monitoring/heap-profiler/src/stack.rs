//! The stack of whoever allocates. The rules of the walk are in the crate [`unwind`], which a panic's backtrace uses too.

use core::mem::MaybeUninit;
use core::ops::Range;

use super::ring::MAX_FRAMES;

/// What a walk needs to know of the machine.
///
/// Implementer's duties: all of it may be called inside the allocator, with interrupts masked, and from an interrupt: it neither
/// allocates nor locks nor makes a system call.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The addresses of the image's code, at most 4 GiB of them. A stack ends at the first return address outside.
    pub code: Range<usize>,
    /// Whether the page of 4096 bytes that begins at an address can be read. Asked for pages of the calling task's stack: each that a
    /// walk comes to, but for the innermost one.
    pub readable: fn(page: usize) -> bool,
    /// The time, in a unit that the consumer knows; it need not be monotonic over several tasks.
    pub ticks: fn() -> u64,
}

/// Bytes of a page, as the smallest unit that is mapped or not.
const PAGE_BYTES: usize = 4096;

/// Return addresses as distances from the beginning of the code, innermost first, two in a word as the ring has them: a processor waits when
/// a word is read that was just written in two pieces.
pub(super) struct Stack {
    pairs: [MaybeUninit<u64>; MAX_FRAMES / 2],
    /// How many there are.
    pub frames: usize,
    /// There were more than [`MAX_FRAMES`].
    pub truncated: bool,
}

impl Stack {
    /// An empty one. Nothing is made zero.
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            pairs: [const { MaybeUninit::uninit() }; MAX_FRAMES / 2],
            frames: 0,
            truncated: false,
        }
    }

    /// Walks outwards from `frame`, which is a frame pointer of the calling task's stack if the program has any, else any number. The
    /// value itself must be on that stack.
    #[inline(always)]
    pub fn walk(&mut self, frame: usize, machine: &Machine) {
        let here = (&raw const *self).addr();
        // Without frame pointers the register holds anything: a frame of this stack is above its innermost value, and near.
        if frame < here || frame - here > unwind::MAX_FRAME_BYTES {
            return;
        }
        let start = machine.code.start;
        let code_bytes = machine.code.end.saturating_sub(start);
        // A frame up to here can be read: its page is the one that a local variable is in, or was asked for.
        let mut last = last_frame(here);
        let read = |frame: usize| {
            if frame > last {
                if !readable(machine, frame) {
                    return None;
                }
                last = last_frame(frame);
            }
            let words = core::ptr::with_exposed_provenance::<usize>(frame);
            // SAFETY: both words can be read, see `last`; the walk asks for aligned addresses, each above the one before and all
            // above `here`. Any word may be read as a number, volatile, because the compiler knows nothing of it.
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
        // SAFETY: `walk` has written the first `frames` distances, at most as many as there is room for, and so these words.
        #[expect(unsafe_code, reason = "the rest of the array is never written")]
        unsafe {
            core::slice::from_raw_parts(self.pairs.as_ptr().cast(), self.frames.div_ceil(2))
        }
    }
}

/// The highest address of a frame that lies in the page of `address`.
#[inline(always)]
fn last_frame(address: usize) -> usize {
    (address | (PAGE_BYTES - 1)) - (size_of::<unwind::Frame>() - 1)
}

/// Whether a frame can be read: its page, and the next one if it goes that far.
#[cold]
#[inline(never)]
fn readable(machine: &Machine, frame: usize) -> bool {
    let page = frame & !(PAGE_BYTES - 1);
    let goes_on = frame > last_frame(frame);
    (machine.readable)(page)
        && (!goes_on || page.checked_add(PAGE_BYTES).is_some_and(machine.readable))
}

/// The frame pointer of the function that this is inlined into; 0 where there is none to read.
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
