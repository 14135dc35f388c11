//! Counts the frames and bytes that pass a device.

use core::cell::Cell;

use smoltcp::phy::{Device, DeviceCapabilities, PacketMeta, RxToken, TxToken};
use smoltcp::time::Instant;

/// The totals of one round's frames, with headers. (The stack itself counts the received frames.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) bytes_received: u64,
    pub(super) frames_sent: u64,
    pub(super) bytes_sent: u64,
}

/// A device whose frames are counted when they are handed over. Cost: two additions per frame.
pub(super) struct Counted<'d, D: ?Sized> {
    pub(super) device: &'d mut D,
    pub(super) traffic: &'d Cell<Traffic>,
}

impl<D: Device + ?Sized> Device for Counted<'_, D> {
    type RxToken<'a>
        = Token<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = Token<'a, D::TxToken<'a>>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (token, reply) = self.device.receive(now)?;
        let traffic = self.traffic;
        Some((
            Token { token, traffic },
            Token {
                token: reply,
                traffic,
            },
        ))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        let token = self.device.transmit(now)?;
        Some(Token {
            token,
            traffic: self.traffic,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

pub(super) struct Token<'a, T> {
    token: T,
    traffic: &'a Cell<Traffic>,
}

impl<T: RxToken> RxToken for Token<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let Self { token, traffic } = self;
        token.consume(|frame| {
            let mut counts = traffic.get();
            counts.bytes_received += frame.len() as u64;
            traffic.set(counts);
            f(frame)
        })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}

impl<T: TxToken> TxToken for Token<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut counts = self.traffic.get();
        counts.frames_sent += 1;
        counts.bytes_sent += len as u64;
        self.traffic.set(counts);
        self.token.consume(len, f)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.token.set_meta(meta);
    }
}
