//! The network card as a smoltcp `phy::Device`: it transmits without blocking and sleeps until there is something to receive.

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

/// Fields of the card's configuration (VIRTIO 1.2, 5.1.4), and the status bit for "the link is up".
const CONFIG_MAC: usize = 0;
const CONFIG_STATUS: usize = 6;
const STATUS_LINK_UP: u16 = 1;
/// Feature bits (VIRTIO 1.2, 5.1.3 and 6). The driver accepts no others: each one is another source of errors, and none helps at
/// our rates.
const FEATURE_MAC: u64 = 1 << 5;
const FEATURE_STATUS: u64 = 1 << 16;
const FEATURE_VERSION_1: u64 = 1 << 32;
const FEATURES: u64 = FEATURE_MAC | FEATURE_STATUS | FEATURE_VERSION_1;
/// The header in front of each frame. It is all zero: no offload. Without VERSION_1 it lacks its last field.
const HEADER_BYTES: usize = 12;
const LEGACY_HEADER_BYTES: usize = 10;
const FRAME_BYTES: usize = 1514;
const _: () = assert!(HEADER_BYTES + FRAME_BYTES <= BUFFER_BYTES);

/// Polling periods of a card without an interrupt: in general, and while a connection is active.
const POLL_IDLE: Duration = Duration::from_millis(10);
const POLL_ACTIVE: Duration = Duration::from_millis(1);
/// The driver looks at a full transmit ring again after this long: the card sends no interrupt for it. Frames that have arrived
/// wait as long, because smoltcp takes none without room for an answer. Looking at once would mean to spin at a higher priority
/// than all other tasks.
const POLL_FULL: Duration = Duration::from_millis(1);
/// The driver looks at a link that is down this often. Nothing can be sent then, and not every monitor interrupts when the link
/// comes back.
const POLL_DOWN: Duration = Duration::from_millis(100);
/// The time within which a card must reset; after it the card never does.
const RESET: Duration = Duration::from_millis(100);
/// After this many frames in a row without an interrupt, the driver stops trusting the interrupt. One or two may just have come
/// while the deadline passed.
const UNANNOUNCED_MAX: u32 = 5;

/// The reason why there is no card.
#[derive(Debug)]
pub enum NicError {
    /// There is no virtio network card, neither on PCI nor on virtio-mmio.
    NotFound,
    /// The card's PCI registers are not those of a modern virtio card.
    Pci(VirtioPciError),
    /// The card cannot be set up.
    Device(Error),
    /// The card does not accept this driver: it demands another feature (IOMMU addresses, for example), or does not reset.
    Refused,
    /// A card cannot have this Ethernet address.
    Mac([u8; 6]),
    /// There is no memory for the card's rings.
    NoMemory,
}

impl fmt::Display for NicError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => formatter.write_str("no virtio network card"),
            Self::Pci(error) => write!(formatter, "virtio network card: {error}"),
            Self::Device(error) => write!(formatter, "virtio network card: {error}"),
            Self::Refused => formatter.write_str("virtio network card: refused to be set up"),
            Self::Mac(mac) => {
                write!(
                    formatter,
                    "virtio network card: {mac:02x?} is no address of a card"
                )
            }
            Self::NoMemory => formatter.write_str("virtio network card: no memory for its rings"),
        }
    }
}

impl core::error::Error for NicError {}

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
/// Sent frames collect in the ring until [`Nic::flush`] or [`Nic::wait`] tells the card: one exit to the virtual machine monitor
/// for all of them. There is room for 64 frames each way. When the transmit ring is full or the link is down, smoltcp gets no token
/// and tries again later, so no frame is lost here.
///
/// [`Nic::find`] takes 256 KiB of the kernel's memory; nothing is allocated later.
pub struct Nic {
    transport: SomeTransport<'static>,
    receive: Ring,
    transmit: Ring,
    interrupt: Interrupt,
    /// The card's place on the PCI bus, if it has one.
    card: Option<pci::Card>,
    mac: [u8; 6],
    header_bytes: usize,
    /// Frames from the card that are too short for a header.
    malformed: u64,
    /// Consecutive frames that came without an interrupt.
    unannounced: u32,
    is_fault_told: bool,
    /// True if the card reports the state of its link.
    tells_link: bool,
    is_link_up: bool,
    is_link_told: bool,
}

impl Nic {
    /// Finds and starts the first virtio network card, on PCI before virtio-mmio.
    ///
    /// # Errors
    /// Fails if there is no card, or if it cannot be used.
    pub fn find() -> Result<Self, NicError> {
        if let Some(mut card) = pci::find() {
            let transport = card.transport()?;
            return Self::start(transport.into(), Some(card), Interrupt::None);
        }
        let (transport, interrupt) = mmio::find(!pci::is_present()).ok_or(NicError::NotFound)?;
        Self::start(transport.into(), None, interrupt)
    }

    /// Resets the card and starts it again, with the memory that it has. Frames on the way are lost.
    ///
    /// # Errors
    /// Fails if the card cannot be used any more.
    ///
    /// # Safety
    /// No token of this card is used any more: its task has abandoned what it was doing (see [`crate::panic::contain`]).
    pub unsafe fn restart(&mut self) -> Result<(), NicError> {
        begin(&mut self.transport, FEATURES)?;
        if let Some(card) = &mut self.card {
            self.interrupt = card.interrupt();
        }
        // SAFETY: the device was just reset, and the caller uses no buffer any more.
        unsafe {
            self.receive.begin_again(&mut self.transport)?;
            self.transmit.begin_again(&mut self.transport)?;
        }
        self.transport.finish_init();
        self.unannounced = 0;
        self.is_fault_told = false;
        self.begin_to_receive();
        Ok(())
    }

    /// Resets the card, which then neither receives nor sends.
    pub fn stop(&mut self) {
        self.transport
            .set_status(virtio_drivers::transport::DeviceStatus::empty());
    }

    fn start(
        mut transport: SomeTransport<'static>,
        mut card: Option<pci::Card>,
        interrupt: Interrupt,
    ) -> Result<Self, NicError> {
        let features = begin(&mut transport, FEATURES)?;
        let mac =
            transport.read_consistent(|| transport.read_config_space::<[u8; 6]>(CONFIG_MAC))?;
        if mac[0] & 1 != 0 || mac == [0; 6] {
            return Err(NicError::Mac(mac));
        }
        // A queue's interrupt must be set before the queue is enabled (VIRTIO 1.2, 4.1.4.3.2).
        let interrupt = card.as_mut().map_or(interrupt, pci::Card::interrupt);
        let receive = Ring::new(&mut transport, RECEIVE_QUEUE, Direction::Receive)?;
        let transmit = Ring::new(&mut transport, TRANSMIT_QUEUE, Direction::Transmit)?;
        transport.finish_init();
        let mut nic = Self {
            transport,
            receive,
            transmit,
            interrupt,
            card,
            mac,
            header_bytes: if features & FEATURE_VERSION_1 != 0 {
                HEADER_BYTES
            } else {
                LEGACY_HEADER_BYTES
            },
            malformed: 0,
            unannounced: 0,
            is_fault_told: false,
            tells_link: features & FEATURE_STATUS != 0,
            is_link_up: true,
            is_link_told: true,
        };
        nic.begin_to_receive();
        Ok(nic)
    }

    /// Gives all buffers for frames to the card.
    fn begin_to_receive(&mut self) {
        self.look_at_link();
        self.receive.set_interrupts(false);
        self.transmit.set_interrupts(false);
        while let Some(slot) = self.receive.take_free() {
            self.receive.give(slot, BUFFER_BYTES);
        }
        self.flush();
    }

    /// Returns the card's Ethernet address.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Returns the interrupt that [`Nic::wait`] waits for.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt
    }

    /// Returns the number of malformed frames from the card, which the driver dropped. A driver cannot see the frames that the card
    /// itself drops for lack of a free buffer.
    pub fn dropped(&self) -> u64 {
        self.malformed
    }

    /// Returns an event of the card since the last call, for the log.
    pub fn news(&mut self) -> Option<&'static str> {
        if self.is_link_told != self.is_link_up {
            self.is_link_told = self.is_link_up;
            return Some(if self.is_link_up {
                "network card: its link is up"
            } else {
                "network card: its link is down, nothing is sent"
            });
        }
        if self.is_fault_told {
            return None;
        }
        let fault = if self.receive.is_broken() || self.transmit.is_broken() {
            "network card: it names a buffer that it does not have, no more frames"
        } else if self.unannounced >= UNANNOUNCED_MAX {
            "network card: frames come without an interrupt, it is polled from now on"
        } else {
            return None;
        };
        self.is_fault_told = true;
        Some(fault)
    }

    fn look_at_link(&mut self) {
        if self.tells_link {
            let status = self.transport.read_config_space::<u16>(CONFIG_STATUS);
            self.is_link_up = status.is_ok_and(|status| status & STATUS_LINK_UP != 0);
        }
    }

    /// Tells the card about frames to send and buffers to fill.
    pub fn flush(&mut self) {
        self.transmit.announce(&mut self.transport);
        self.receive.announce(&mut self.transport);
    }

    /// Sleeps until a frame has arrived or until `deadline`, in microseconds of [`clock::micros`]; `None` means no deadline.
    /// `active` says that a connection is busy: a card without an interrupt is then polled more often. May return early.
    pub fn wait(&mut self, deadline: Option<u64>, active: bool) {
        self.flush();
        // A frame that comes after the last look and before the interrupt is enabled raises no interrupt. So the driver looks once
        // more after enabling it. The barrier orders the driver's store before its look, as the device orders its frame before its
        // look at that store.
        self.receive.set_interrupts(true);
        self.acknowledge();
        fence(Ordering::SeqCst);
        self.reclaim();
        let is_full = self.transmit.is_exhausted();
        let deadline = if self.is_link_up {
            deadline
        } else {
            // Frames that are due now cannot be sent: their deadline would only cause a busy wait.
            Some(clock::micros() + POLL_DOWN.as_micros() as u64)
        };
        if is_full || !self.receive.has_used() {
            let poll = match self.interrupt {
                _ if is_full => Some(POLL_FULL),
                Interrupt::None if active => Some(POLL_ACTIVE),
                Interrupt::None => Some(POLL_IDLE),
                _ => None,
            };
            let poll = poll.map(|period| clock::micros() + period.as_micros() as u64);
            self.sleep([deadline, poll].into_iter().flatten().min());
        }
        self.receive.set_interrupts(false);
        self.look_at_link();
    }

    fn sleep(&mut self, until: Option<u64>) {
        if self.interrupt == Interrupt::None {
            return task::sleep_until(until.unwrap_or(u64::MAX));
        }
        let had_used = self.receive.has_used();
        let raised = sys::sys_irq_wait(until.map_or(u64::MAX, clock::deadline));
        if raised || had_used || !self.receive.has_used() {
            self.unannounced = 0;
            return;
        }
        self.unannounced += 1;
        if self.unannounced == UNANNOUNCED_MAX {
            self.interrupt = Interrupt::None;
        }
    }

    /// Makes the card withdraw its interrupt. Otherwise pins and lines stay asserted, and a line that is asserted already raises no
    /// new edge. A message needs no acknowledgement.
    fn acknowledge(&mut self) {
        if matches!(self.interrupt, Interrupt::Pin | Interrupt::Line { .. }) {
            self.transport.ack_interrupt();
        }
    }

    /// Frees the buffers that the card has sent. If the card broke the ring, its buffers are never freed.
    fn reclaim(&mut self) {
        while let Ok(Some((slot, _))) = self.transmit.take_used() {
            self.transmit.put_back(slot);
        }
    }
}

impl phy::Device for Nic {
    type RxToken<'a> = RxToken<'a>;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(RxToken<'_>, TxToken<'_>)> {
        self.reclaim();
        if self.transmit.is_exhausted() {
            return None;
        }
        let (slot, length) = loop {
            let (slot, length) = self.receive.take_used().ok()??;
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
        (self.is_link_up && !self.transmit.is_exhausted()).then_some(TxToken {
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

/// A frame that has arrived. Its buffer goes back to the card even if the frame is not read.
pub struct RxToken<'a> {
    ring: &'a mut Ring,
    /// `None` only while the token is dropped.
    slot: Option<Slot>,
    frame: Range<usize>,
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(mut self, f: F) -> R {
        let frame = self.frame.clone();
        f(self.slot.as_mut().map_or(&[], |slot| &slot.bytes()[frame]))
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
        let mut slot = self
            .ring
            .take_free()
            .expect("a token is made only while a buffer is free");
        let frame = self.header_bytes..self.header_bytes + length;
        let bytes = slot.bytes();
        bytes[..self.header_bytes].fill(0);
        let result = f(&mut bytes[frame.clone()]);
        self.ring.give(slot, frame.end);
        result
    }
}

/// Resets the device and agrees on features (VIRTIO 1.2, 3.1.1, steps 1-6).
fn begin(transport: &mut SomeTransport<'static>, supported: u64) -> Result<u64, NicError> {
    use virtio_drivers::transport::DeviceStatus;

    let started = clock::micros();
    transport.set_status(DeviceStatus::empty());
    while transport.get_status() != DeviceStatus::empty() {
        if clock::micros() - started > RESET.as_micros() as u64 {
            return Err(NicError::Refused);
        }
        core::hint::spin_loop();
    }
    let driver = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
    transport.set_status(driver);
    let features = transport.read_device_features() & supported;
    transport.write_driver_features(features);
    transport.set_status(driver | DeviceStatus::FEATURES_OK);
    // Devices older than virtio 1 do not know this bit.
    let knows_features_ok = features & FEATURE_VERSION_1 != 0;
    if knows_features_ok && !transport.get_status().contains(DeviceStatus::FEATURES_OK) {
        return Err(NicError::Refused);
    }
    transport.set_guest_page_size(virtio_drivers::PAGE_SIZE as u32);
    Ok(features)
}
