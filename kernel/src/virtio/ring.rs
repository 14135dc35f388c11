//! A virtqueue together with its buffers, one direction of the card.
//!
//! Each buffer lies in one page, so it is contiguous in physical memory. Descriptor and buffer belong together for ever: a buffer
//! is either the device's or ours.

use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;

use super::hal::{self, HermitHal};
use super::nic::NicError;

/// Frames in each direction: at 1,514 bytes a burst of 97 kB, more than smoltcp's socket buffers send in one turn.
pub const FRAMES: usize = 64;
/// virtio-net header (12 bytes at most) and an Ethernet frame (1,514 bytes), two in a page.
pub const BUFFER_BYTES: usize = 2048;
const BUFFERS_PER_PAGE: usize = virtio_drivers::PAGE_SIZE / BUFFER_BYTES;

/// Who reads the buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device writes them.
    Receive,
    /// The device reads them.
    Transmit,
}

/// A buffer that is ours at the moment. Made only by the ring, and only while the device does not have the buffer.
pub struct Slot {
    buffer: usize,
}

/// A virtqueue and its buffers.
pub struct Ring {
    queue: VirtQueue<HermitHal, FRAMES>,
    index: u16,
    direction: Direction,
    buffers: [NonNull<[u8; BUFFER_BYTES]>; FRAMES],
    /// Which buffer a descriptor's token stands for, while the device has it.
    lent: [usize; FRAMES],
    /// Buffers that are ours: a stack of their numbers.
    free: [usize; FRAMES],
    free_count: usize,
    /// Something was given to the device since it was last notified.
    is_unannounced: bool,
}

// SAFETY: the ring owns its buffers; the pointers are to memory that is never freed.
unsafe impl Send for Ring {}

impl Ring {
    /// Sets up queue `index` of the device.
    pub fn new<T: Transport>(
        transport: &mut T,
        index: u16,
        direction: Direction,
    ) -> Result<Self, NicError> {
        let queue = VirtQueue::new(transport, index, false, false)?;
        let mut buffers = [NonNull::dangling(); FRAMES];
        for pair in buffers.chunks_mut(BUFFERS_PER_PAGE) {
            let (_, page) = hal::allocate(1).ok_or(NicError::NoMemory)?;
            for (half, buffer) in pair.iter_mut().enumerate() {
                // SAFETY: inside the page just allocated.
                *buffer = unsafe { page.cast::<[u8; BUFFER_BYTES]>().add(half) };
            }
        }
        Ok(Self {
            queue,
            index,
            direction,
            buffers,
            lent: [0; FRAMES],
            free: core::array::from_fn(|buffer| buffer),
            free_count: FRAMES,
            is_unannounced: false,
        })
    }

    /// The bytes of a buffer that is ours.
    pub fn bytes(&mut self, slot: &Slot) -> &mut [u8; BUFFER_BYTES] {
        // SAFETY: a slot is handed out for a buffer that the device does not have, and giving it away consumes the slot; `&mut self`
        // keeps others off.
        unsafe { self.buffers[slot.buffer].as_mut() }
    }

    /// Takes a buffer that is ours and unused.
    pub fn take_free(&mut self) -> Option<Slot> {
        self.free_count = self.free_count.checked_sub(1)?;
        Some(Slot {
            buffer: self.free[self.free_count],
        })
    }

    /// How many buffers are ours and unused.
    pub fn free_count(&self) -> usize {
        self.free_count
    }

    /// Puts a buffer back among the unused ones.
    pub fn put_back(&mut self, slot: Slot) {
        self.free[self.free_count] = slot.buffer;
        self.free_count += 1;
    }

    /// Gives the first `length` bytes of a buffer to the device, which is told by [`Ring::announce`]. There are as many descriptors
    /// as buffers, so the queue always has room.
    pub fn give(&mut self, slot: Slot, length: usize) {
        // SAFETY: the slot's buffer is ours until here; from here on it is not touched before `take_used` has it back.
        let token = unsafe {
            let bytes = &mut self.buffers[slot.buffer].as_mut()[..length];
            match self.direction {
                Direction::Receive => self.queue.add(&[], &mut [bytes]),
                Direction::Transmit => self.queue.add(&[bytes], &mut []),
            }
        };
        match token {
            Ok(token) => {
                self.lent[usize::from(token)] = slot.buffer;
                self.is_unannounced = true;
            }
            Err(_) => self.put_back(slot),
        }
    }

    /// Takes back the next buffer that the device is done with, and how many bytes it wrote. `length` is what it was given with:
    /// the same for all buffers of a ring that receives, and of no consequence for one that transmits.
    pub fn take_used(&mut self, length: usize) -> Option<(Slot, usize)> {
        let token = self.queue.peek_used()?;
        // The device may write what it likes into the ring; a token that is none of ours is not followed.
        let buffer = *self.lent.get(usize::from(token))?;
        // SAFETY: the same buffer, direction and length as when it was given; `lent` remembers which.
        let written = unsafe {
            let bytes = &mut self.buffers[buffer].as_mut()[..length];
            match self.direction {
                Direction::Receive => self.queue.pop_used(token, &[], &mut [bytes]),
                Direction::Transmit => self.queue.pop_used(token, &[bytes], &mut []),
            }
        };
        Some((Slot { buffer }, written.ok()? as usize))
    }

    /// Whether the device is done with a buffer.
    pub fn has_used(&self) -> bool {
        self.queue.can_pop()
    }

    /// Asks the device to interrupt when it is done with a buffer, or not to. A wish: it may interrupt all the same.
    pub fn set_interrupts(&mut self, enabled: bool) {
        self.queue.set_dev_notify(enabled);
    }

    /// Tells the device of everything given to it since the last call. One exit to the virtual machine monitor, at most.
    pub fn announce<T: Transport>(&mut self, transport: &mut T) {
        if !self.is_unannounced {
            return;
        }
        self.is_unannounced = false;
        // The device reads the ring's index after it has written its flags, we do it the other way round: without a full barrier
        // both could miss the other's store (VIRTIO 1.2, 2.7.13.4.1).
        fence(Ordering::SeqCst);
        if self.queue.should_notify() {
            transport.notify(self.index);
        }
    }
}
