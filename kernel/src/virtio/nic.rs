//! The card itself: a smoltcp `phy::Device` that transmits without blocking and sleeps until there is something to receive.

use core::fmt;
use core::ops::Range;
use core::sync::atomic::{Ordering, fence};
use core::time::Duration;

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use virtio_drivers::Error;
use virtio_drivers::transport::pci::VirtioPciError;
use virtio_drivers::transport::{SomeTransport, Transport};

use super::interrupt::Interrupt;
use super::ring::{BUFFER_BYTES, Direction, FRAMES, Ring, Slot};
use super::{mmio, pci};
use crate::{clock, sys, task};

pub(super) const RECEIVE_QUEUE: u16 = 0;
pub(super) const TRANSMIT_QUEUE: u16 = 1;

/// Feature bits (VIRTIO 1.2, 5.1.3 and 6). No others: each one less is a way less to go wrong, and none helps at our rates.
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_VERSION_1: u64 = 1 << 32;
/// The header in front of each frame is all zero: no offload. Without VERSION_1 it lacks its last field.
const HEADER_BYTES: usize = 12;
const LEGACY_HEADER_BYTES: usize = 10;
const FRAME_BYTES: usize = 1514;
const _: () = assert!(HEADER_BYTES + FRAME_BYTES <= BUFFER_BYTES);

/// How often a card without an interrupt is polled, and while a connection is active.
const POLL_IDLE: Duration = Duration::from_millis(10);
const POLL_ACTIVE: Duration = Duration::from_millis(1);
/// A full transmit ring is looked at again after this long: the card sends no interrupt for it.
const POLL_FULL: Duration = Duration::from_millis(1);

/// Why there is no card.
#[derive(Debug)]
pub enum NicError {
    /// No virtio network card, neither on PCI nor on virtio-mmio.
    NotFound,
    /// The card's PCI registers are not what a modern virtio card has.
    Pci(VirtioPciError),
    /// The card refused to be set up.
    Device(Error),
    /// No memory for its rings.
    NoMemory,
}

impl fmt::Display for NicError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => formatter.write_str("no virtio network card"),
            Self::Pci(error) => write!(formatter, "virtio network card: {error}"),
            Self::Device(error) => write!(formatter, "virtio network card: {error}"),
            Self::NoMemory => formatter.write_str("virtio network card: no memory for its rings"),
        }
    }
}

impl From<Error> for NicError {
    fn from(error: Error) -> Self {
        Self::Device(error)
    }
}

impl From<VirtioPciError> for NicError {
    fn from(error: VirtioPciError) -> Self {
        Self::Pci(error)
    }
}

/// A virtio network card.
///
/// Frames that are sent collect in the ring until [`Nic::flush`] or [`Nic::wait`] tells the card: one exit to the virtual machine
/// monitor for all of them. 64 frames each way; when the transmit ring is full, smoltcp gets no token and tries again later, so
/// nothing is lost. Nothing is allocated after [`Nic::find`], which takes 256 KiB of the kernel's memory.
pub struct Nic {
    transport: SomeTransport<'static>,
    receive: Ring,
    transmit: Ring,
    interrupt: Interrupt,
    mac: [u8; 6],
    header_bytes: usize,
    /// Frames that the card handed over but that hold no whole header.
    malformed: u64,
}

impl Nic {
    /// Finds and starts the first virtio network card, on PCI before virtio-mmio.
    ///
    /// # Errors
    /// If there is none, or if it cannot be used.
    pub fn find() -> Result<Self, NicError> {
        if let Some(mut card) = pci::find() {
            let transport = card.transport()?;
            return Self::start(transport.into(), || card.interrupt());
        }
        let (transport, interrupt) = mmio::find(!pci::is_present()).ok_or(NicError::NotFound)?;
        Self::start(transport.into(), || interrupt)
    }

    fn start(
        mut transport: SomeTransport<'static>,
        interrupt: impl FnOnce() -> Interrupt,
    ) -> Result<Self, NicError> {
        let features = Features(FEATURE_MAC | FEATURE_VERSION_1);
        let features = begin(&mut transport, features);
        let mac = transport.read_consistent(|| transport.read_config_space::<[u8; 6]>(0))?;
        let receive = Ring::new(&mut transport, RECEIVE_QUEUE, Direction::Receive)?;
        let transmit = Ring::new(&mut transport, TRANSMIT_QUEUE, Direction::Transmit)?;
        let interrupt = interrupt();
        transport.finish_init();
        let mut nic = Self {
            transport,
            receive,
            transmit,
            interrupt,
            mac,
            header_bytes: if features.0 & FEATURE_VERSION_1 != 0 {
                HEADER_BYTES
            } else {
                LEGACY_HEADER_BYTES
            },
            malformed: 0,
        };
        nic.receive.set_interrupts(false);
        nic.transmit.set_interrupts(false);
        while let Some(slot) = nic.receive.take_free() {
            nic.receive.give(slot, BUFFER_BYTES);
        }
        nic.flush();
        Ok(nic)
    }

    /// The card's Ethernet address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// What [`Nic::wait`] waits on.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt
    }

    /// Frames dropped because the card handed over something that is none. The card's own drops, for want of a free buffer, are
    /// not visible to a driver.
    pub fn dropped(&self) -> u64 {
        self.malformed
    }

    /// Tells the card of frames to send and of buffers to fill.
    pub fn flush(&mut self) {
        self.transmit.announce(&mut self.transport);
        self.receive.announce(&mut self.transport);
    }

    /// Sleeps until a frame has arrived or until `deadline`, in microseconds of [`clock::micros`]; `None`: for ever. `active` says
    /// that a connection is busy: a card without an interrupt is then polled more often. May return early.
    pub fn wait(&mut self, deadline: Option<u64>, active: bool) {
        self.flush();
        // A frame between the last look and the interrupt's being asked for would be slept over: so look once more after it. The
        // barrier orders our wish before our look, as the device orders its frame before its look at our wish.
        self.receive.set_interrupts(true);
        self.acknowledge();
        fence(Ordering::SeqCst);
        if !self.receive.has_used() {
            let full = (self.transmit.free_count() == 0).then_some(POLL_FULL);
            let poll = match self.interrupt {
                Interrupt::None if active => Some(POLL_ACTIVE),
                Interrupt::None => Some(POLL_IDLE),
                _ => full,
            };
            let poll = poll.map(|period| clock::micros() + period.as_micros() as u64);
            let until = [deadline, poll].into_iter().flatten().min();
            match self.interrupt {
                Interrupt::None => task::sleep_until(until.unwrap_or(u64::MAX)),
                _ => _ = sys::sys_irq_wait(until.map_or(u64::MAX, clock::deadline)),
            }
        }
        self.receive.set_interrupts(false);
    }

    /// Makes the card take its interrupt back. Pins and lines stay asserted without, and a line that is asserted already raises no
    /// new edge; a message needs no acknowledgement.
    fn acknowledge(&mut self) {
        if matches!(self.interrupt, Interrupt::Pin | Interrupt::Line { .. }) {
            self.transport.ack_interrupt();
        }
    }

    /// Buffers that the card has sent become free again.
    fn reclaim(&mut self) {
        // virtio_drivers wants the bytes again to unshare them; shared in place they are not looked at, any length will do.
        while let Some((slot, _)) = self.transmit.take_used(BUFFER_BYTES) {
            self.transmit.put_back(slot);
        }
    }
}

impl phy::Device for Nic {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        self.reclaim();
        if self.transmit.free_count() == 0 {
            return None;
        }
        let (slot, length) = loop {
            let (slot, length) = self.receive.take_used(BUFFER_BYTES)?;
            if (self.header_bytes..=BUFFER_BYTES).contains(&length) {
                break (slot, length);
            }
            self.malformed += 1;
            self.receive.give(slot, BUFFER_BYTES);
        };
        let header_bytes = self.header_bytes;
        Some((
            RxToken {
                ring: &mut self.receive,
                slot: Some(slot),
                frame: header_bytes..length,
            },
            TxToken {
                ring: &mut self.transmit,
                header_bytes,
            },
        ))
    }

    fn transmit(&mut self, _now: Instant) -> Option<TxToken<'_>> {
        self.reclaim();
        (self.transmit.free_count() > 0).then_some(TxToken {
            ring: &mut self.transmit,
            header_bytes: self.header_bytes,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities.max_burst_size = Some(FRAMES);
        capabilities
    }
}

/// A frame that has arrived. Its buffer goes back to the card also when nobody looks at it.
pub struct RxToken<'a> {
    ring: &'a mut Ring,
    /// `None` only while the token is dropped.
    slot: Option<Slot>,
    frame: Range<usize>,
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let frame = self.frame.clone();
        match &self.slot {
            Some(slot) => f(&self.ring.bytes(slot)[frame]),
            None => f(&[]),
        }
    }
}

impl Drop for RxToken<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.ring.give(slot, BUFFER_BYTES);
        }
    }
}

/// Room for a frame to send.
pub struct TxToken<'a> {
    ring: &'a mut Ring,
    header_bytes: usize,
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let slot = self
            .ring
            .take_free()
            .expect("a token is made only while a buffer is free");
        let frame = self.header_bytes..self.header_bytes + length;
        let bytes = self.ring.bytes(&slot);
        bytes[..self.header_bytes].fill(0);
        let result = f(&mut bytes[frame.clone()]);
        self.ring.give(slot, frame.end);
        result
    }
}

/// Feature bits in the form that `virtio-drivers` negotiates them.
#[derive(Clone, Copy)]
struct Features(u64);

/// Resets the device and agrees on features (VIRTIO 1.2, 3.1.1, steps 1–6).
fn begin(transport: &mut SomeTransport<'static>, supported: Features) -> Features {
    use virtio_drivers::transport::DeviceStatus;

    transport.set_status(DeviceStatus::empty());
    while transport.get_status() != DeviceStatus::empty() {
        core::hint::spin_loop();
    }
    transport.set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER);
    let features = Features(transport.read_device_features() & supported.0);
    transport.write_driver_features(features.0);
    transport
        .set_status(DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER | DeviceStatus::FEATURES_OK);
    transport.set_guest_page_size(virtio_drivers::PAGE_SIZE as u32);
    features
}
