//! The device that smoltcp sees: the card behind the [`Gate`].
//!
//! A frame is copied on its way, so that the gate can change it and can send none. That costs a copy of at most
//! [`FRAME_MAX`] bytes each way.

use core::cell::RefCell;

use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;

use super::gate::{Arrived, Gate, Leaving};
use crate::bounds::{FRAME_MAX, FRAMES_PER_ROUND};
use units::Micros;

/// Memory for one frame in each direction.
#[derive(Debug)]
pub(super) struct Frames {
    arrived: [u8; FRAME_MAX],
    /// The length of a frame that has passed and waits until the device has room for an answer.
    waiting: usize,
    /// The port at which a socket must listen before that frame passes.
    pub knocks: Option<u16>,
    leaving: [u8; FRAME_MAX],
    /// The number of frames that ended at the gate since the last look.
    handled: usize,
}

impl Frames {
    pub(super) const EMPTY: Self = Self {
        arrived: [0; FRAME_MAX],
        waiting: 0,
        knocks: None,
        leaving: [0; FRAME_MAX],
        handled: 0,
    };

    /// Returns the number of frames that ended at the gate since the last call.
    pub(super) fn handled(&mut self) -> usize {
        core::mem::take(&mut self.handled)
    }
}

pub(super) struct Wire<'d, D: ?Sized> {
    pub device: &'d mut D,
    pub frames: &'d mut Frames,
    pub gate: &'d RefCell<Gate>,
    pub now: Micros,
}

impl<D: Device + ?Sized> Wire<'_, D> {
    /// Sends what the gate has to send: questions, and segments that waited.
    pub(super) fn send_due(&mut self, now: Instant) -> bool {
        let mut sent = false;
        let mut gate = self.gate.borrow_mut();
        while gate.next().is_some_and(|at| at <= self.now)
            && let Some(token) = self.device.transmit(now)
            && let Some(length) = gate.due(self.now, &mut self.frames.leaving)
        {
            token.consume(length, |buffer| {
                buffer.copy_from_slice(&self.frames.leaving[..length]);
            });
            sent = true;
        }
        sent
    }

    /// Takes frames from the device until one passes. Returns `false` if none does.
    fn next_passes(&mut self, now: Instant) -> bool {
        let Self {
            device,
            frames,
            gate,
            now: micros,
        } = self;
        let mut gate = gate.borrow_mut();
        if let Some(length) = gate.introduction(*micros, &mut frames.arrived) {
            frames.waiting = length;
            return true;
        }
        for _ in 0..FRAMES_PER_ROUND {
            let Some((frame, reply)) = device.receive(now) else {
                return false;
            };
            let arrived = &mut frames.arrived;
            let length = frame.consume(|frame| {
                // A frame that is too long is empty.
                let place = arrived.get_mut(..frame.len());
                place.map_or(0, |place| {
                    place.copy_from_slice(frame);
                    frame.len()
                })
            });
            match gate.arrived(&mut frames.arrived[..length], &mut frames.leaving, *micros) {
                Arrived::Passes => {
                    frames.waiting = length;
                    return true;
                }
                Arrived::Knocks(port) => {
                    frames.waiting = length;
                    frames.knocks = Some(port);
                    return false;
                }
                Arrived::Dropped => {}
                Arrived::Answered(length) => {
                    gate.traffic.frames_sent += 1;
                    gate.traffic.bytes_sent += length as u64;
                    reply.consume(length, |buffer| {
                        buffer.copy_from_slice(&frames.leaving[..length]);
                    });
                }
            }
            frames.handled += 1;
        }
        false
    }
}

impl<D: Device + ?Sized> Device for Wire<'_, D> {
    type RxToken<'a>
        = Passed<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Addressed<'a, D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if self.frames.knocks.is_some() || (self.frames.waiting == 0 && !self.next_passes(now)) {
            return None;
        }
        let token = self.device.transmit(now)?;
        let length = core::mem::take(&mut self.frames.waiting);
        Some((
            Passed(&self.frames.arrived[..length]),
            Addressed {
                token,
                buffer: &mut self.frames.leaving,
                gate: self.gate,
            },
        ))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        Some(Addressed {
            token: self.device.transmit(now)?,
            buffer: &mut self.frames.leaving,
            gate: self.gate,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.device.capabilities();
        let mtu = &mut capabilities.max_transmission_unit;
        *mtu = (*mtu).min(FRAME_MAX);
        capabilities
    }
}

/// A frame that has passed.
pub(super) struct Passed<'a>(&'a [u8]);

impl RxToken for Passed<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame that leaves through the gate.
pub(super) struct Addressed<'a, T> {
    token: T,
    buffer: &'a mut [u8; FRAME_MAX],
    gate: &'a RefCell<Gate>,
}

impl<T: TxToken> TxToken for Addressed<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let frame = &mut self.buffer[..length];
        frame.fill(0);
        let result = f(frame);
        if self.gate.borrow_mut().leaving(frame) == Leaving::Sent {
            self.token
                .consume(length, |buffer| buffer.copy_from_slice(frame));
        }
        result
    }
}
