//! A virtqueue together with its buffers: one direction of the card.
//!
//! Each buffer lies in one page, so it is contiguous in physical memory. At any time either the device or the driver owns a buffer.

use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};

use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;

use super::hal::{self, HermitHal};
use super::nic::NicError;

/// The number of frames in each direction. At 1,514 bytes this is a burst of 97 kB, more than smoltcp's socket buffers send in one
/// turn.
pub const FRAMES: usize = 64;
/// The size of a buffer, for a virtio-net header (12 bytes at most) and an Ethernet frame (1,514 bytes): two fit in a page.
pub const BUFFER_BYTES: usize = 2048;
const BUFFERS_PER_PAGE: usize = virtio_drivers::PAGE_SIZE / BUFFER_BYTES;

/// The direction of the ring's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The device writes them.
    Receive,
    /// The device reads them.
    Transmit,
}

/// A buffer that the driver owns: the device does not have it, and no other pointer to it exists.
pub struct Slot(NonNull<[u8; BUFFER_BYTES]>);

// SAFETY: a slot is the only pointer to its memory, which is never freed.
unsafe impl Send for Slot {}

impl Slot {
    /// Returns the buffer's bytes.
    pub fn bytes(&mut self) -> &mut [u8; BUFFER_BYTES] {
        // SAFETY: `Ring::new` made one slot per buffer, from memory that nothing else uses. While the device has the buffer, the
        // slot lies in `Ring::lent`, where no caller can reach it.
        unsafe { self.0.as_mut() }
    }
}

/// The device violated its specification, so the ring cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// A virtqueue and its buffers.
pub struct Ring {
    queue: VirtQueue<HermitHal, FRAMES>,
    index: u16,
    direction: Direction,
    /// All buffers, for a new beginning.
    buffers: [NonNull<[u8; BUFFER_BYTES]>; FRAMES],
    /// The buffers that the device has, by the tokens of their descriptors, with the lengths that the driver gave.
    lent: [Option<(Slot, usize)>; FRAMES],
    /// The unused buffers.
    free: [Option<Slot>; FRAMES],
    free_count: usize,
    /// True if the device got a buffer since it was last notified.
    is_unannounced: bool,
    is_broken: bool,
}

impl Ring {
    /// Sets up queue `index` of the device. After an error the pages taken so far are not freed: there is no second try.
    pub fn new<T: Transport>(
        transport: &mut T,
        index: u16,
        direction: Direction,
    ) -> Result<Self, NicError> {
        let mut ring = Self {
            queue: VirtQueue::new(transport, index, false, false)?,
            index,
            direction,
            buffers: [NonNull::dangling(); FRAMES],
            lent: [const { None }; FRAMES],
            free: [const { None }; FRAMES],
            free_count: 0,
            is_unannounced: false,
            is_broken: false,
        };
        for buffers in ring.buffers.chunks_exact_mut(BUFFERS_PER_PAGE) {
            let (_, page) = hal::allocate(1).ok_or(NicError::NoMemory)?;
            for (half, buffer) in buffers.iter_mut().enumerate() {
                // SAFETY: inside the page just allocated.
                *buffer = unsafe { page.cast::<[u8; BUFFER_BYTES]>().add(half) };
            }
        }
        ring.take_all_back();
        Ok(ring)
    }

    /// Sets up the queue again, after a reset of the device. All buffers are unused then.
    ///
    /// # Safety
    /// The device was reset, so it has no buffer. No [`Slot`] that was taken from this ring is used any more.
    pub unsafe fn begin_again<T: Transport>(&mut self, transport: &mut T) -> Result<(), NicError> {
        self.queue = VirtQueue::new(transport, self.index, false, false)?;
        (self.is_unannounced, self.is_broken) = (false, false);
        self.take_all_back();
        Ok(())
    }

    /// Makes all buffers unused: neither the device nor the driver has one.
    fn take_all_back(&mut self) {
        self.lent = [const { None }; FRAMES];
        self.free = self.buffers.map(|buffer| Some(Slot(buffer)));
        self.free_count = FRAMES;
    }

    /// Takes an unused buffer.
    pub fn take_free(&mut self) -> Option<Slot> {
        self.free_count = self.free_count.checked_sub(1)?;
        self.free[self.free_count].take()
    }

    /// Returns whether no buffer is unused.
    pub fn is_exhausted(&self) -> bool {
        self.free_count == 0
    }

    /// Puts a buffer back among the unused ones.
    pub fn put_back(&mut self, slot: Slot) {
        self.free[self.free_count] = Some(slot);
        self.free_count += 1;
    }

    /// Gives the first `length` bytes of a buffer to the device; [`Ring::announce`] then tells the device. There are as many
    /// descriptors as buffers, so the queue always has room.
    pub fn give(&mut self, mut slot: Slot, length: usize) {
        let bytes = &mut slot.bytes()[..length];
        // SAFETY: from here on the slot lies in `lent`, where nothing touches its buffer before `take_used` takes it back.
        let token = unsafe {
            match self.direction {
                Direction::Receive => self.queue.add(&[], &mut [bytes]),
                Direction::Transmit => self.queue.add(&[bytes], &mut []),
            }
        };
        match token {
            Ok(token) => {
                self.lent[usize::from(token)] = Some((slot, length));
                self.is_unannounced = true;
            }
            Err(_) => self.put_back(slot),
        }
    }

    /// Takes back the next buffer that the device is done with. Returns it with the number of bytes that the device wrote.
    ///
    /// # Errors
    /// Returns [`Broken`] if the device names a buffer that it does not have, now or in an earlier call.
    pub fn take_used(&mut self) -> Result<Option<(Slot, usize)>, Broken> {
        if self.is_broken {
            return Err(Broken);
        }
        let Some(token) = self.queue.peek_used() else {
            return Ok(None);
        };
        let lent = self.lent.get_mut(usize::from(token)).and_then(Option::take);
        let Some((mut slot, length)) = lent else {
            self.is_broken = true;
            return Err(Broken);
        };
        let bytes = &mut slot.bytes()[..length];
        // SAFETY: `lent` holds the buffer and the length with which it was given, and the direction is the same.
        let written = unsafe {
            match self.direction {
                Direction::Receive => self.queue.pop_used(token, &[], &mut [bytes]),
                Direction::Transmit => self.queue.pop_used(token, &[bytes], &mut []),
            }
        };
        match written {
            Ok(written) => Ok(Some((slot, written as usize))),
            Err(_) => {
                self.is_broken = true;
                Err(Broken)
            }
        }
    }

    /// Returns whether the device broke the ring.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Returns whether the device is done with a buffer.
    pub fn has_used(&self) -> bool {
        !self.is_broken && self.queue.can_pop()
    }

    /// Asks the device to interrupt, or not to interrupt, when it is done with a buffer. The device may interrupt in either case.
    pub fn set_interrupts(&mut self, enabled: bool) {
        self.queue.set_dev_notify(enabled);
    }

    /// Tells the device about all buffers given to it since the last call. Costs at most one exit to the virtual machine monitor.
    pub fn announce<T: Transport>(&mut self, transport: &mut T) {
        if !self.is_unannounced {
            return;
        }
        self.is_unannounced = false;
        // The device writes its flags and then reads the ring's index; the driver does it the other way round. Without a full
        // barrier each could miss the other's store (VIRTIO 1.2, 2.7.13.4.1).
        fence(Ordering::SeqCst);
        if self.queue.should_notify() {
            transport.notify(self.index);
        }
    }
}
