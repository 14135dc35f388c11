//! The traits between services and connections: bytes and states, no sockets.

use units::Micros;

/// A stream of bytes with a peer, as a service sees it.
pub trait Stream {
    /// Returns the bytes that have arrived, oldest first: all of them or a first part. Empty only if none has arrived.
    fn peek(&mut self) -> &[u8];

    /// Takes `count` bytes of those that [`Stream::peek`] showed.
    fn consume(&mut self, count: usize);

    /// Returns `true` if no more bytes will arrive, apart from those that can be peeked.
    fn ended(&self) -> bool;

    /// Hands over bytes to send. Returns how many were taken, from the front. Never blocks.
    fn write(&mut self, bytes: &[u8]) -> usize;

    /// Returns the number of bytes that were handed over and that the peer's TCP has not acknowledged yet.
    fn unacknowledged(&self) -> usize;
}

/// A connection that the image opens itself.
pub trait Link: Stream {
    /// Returns the state of the connection.
    fn state(&self) -> LinkState;

    /// Starts to connect. The last connection's state is discarded.
    ///
    /// # Errors
    /// [`Unreachable`] if there is no address to connect from.
    fn connect(&mut self) -> Result<(), Unreachable>;

    /// Sends the bytes that were handed over, then closes this side's half.
    fn close(&mut self);

    /// Ends the connection at once, with a reset.
    fn abort(&mut self);
}

/// The state of a [`Link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The peer has not answered yet.
    Connecting,
    /// Both halves are open.
    Open,
    /// The peer has closed its half.
    PeerClosed,
    /// This side's half is being closed.
    Closing,
    /// There is no connection.
    Closed(Closed),
}

/// The reason why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// No connection was opened, or this side ended it.
    Here,
    /// The peer reset it, or refused it.
    Reset,
    /// The peer was silent for too long.
    Silent,
}

/// There is no address to connect from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

/// A way to send datagrams to one peer, one at a time.
pub trait Datagrams {
    /// Returns the largest payload, in bytes.
    fn limit(&self) -> usize;

    /// Returns `true` if the last datagram still waits, for the device or for the peer's hardware address.
    fn pending(&self) -> bool;

    /// Hands over one datagram, in two pieces. Returns `false` and does nothing if one is pending.
    fn send(&mut self, first: &[u8], second: &[u8]) -> bool;

    /// Takes the pending datagram back.
    fn cancel(&mut self);
}

/// The next step of a connection, as its service decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep the connection. Call again when bytes have arrived or were acknowledged, and at this time at the latest.
    Stay(Micros),
    /// Send what was handed over, then close.
    Close,
    /// End the connection at once.
    Abort,
}

/// A service behind a listening port.
///
/// `slot` is the number of the connection, below the number of the port's sockets; a slot has one connection
/// at a time.
pub trait Service {
    /// Tells the service that a connection was opened.
    fn opened(&mut self, slot: usize, now: Micros);

    /// Tells the service that an opened connection has ended without its request.
    fn closed(&mut self, slot: usize) {
        let _ = slot;
    }

    /// Returns the slot of an open connection that ends, so that its place goes to a newcomer. Called when a peer has
    /// connected and all places are taken; with `None` the newcomer is refused.
    fn gives_up(&mut self, now: Micros) -> Option<usize> {
        let _ = now;
        None
    }

    /// Tells the service that a connection was refused because all sockets were taken.
    fn turned_away(&mut self) {}

    /// Works on a connection that may have changed, or whose requested time has come. Does bounded work.
    fn turn(&mut self, slot: usize, now: Micros, stream: &mut dyn Stream) -> Step;
}
