//! The network: one interface with bounded connections, and lines on their way out. Services see bytes and time only.
//!
//! ```text
//!  control ── Stream ──┐
//!  push ───── Link ────┤ tcp.rs ┐
//!  datagram ─ Datagrams┴────────┴ stack.rs ── smoltcp ── a device
//! ```
//!
//! | to | use |
//! |---|---|
//! | serve connections | [`Service`], which sees a [`Stream`] |
//! | send lines, over UDP or TCP | [`outbox::Outbox`], [`datagram::DatagramPush`], [`push::StreamPush`] |
//! | have an interface with an address | [`stack::Stack`] over a smoltcp `phy::Device` |
//! | read the values of arguments | [`Target`], [`Addressing`], [`Allow`] |
//!
//! Only `tcp.rs` and `stack.rs` name smoltcp: a backend over other sockets implements the three traits of this file and nothing else.
//! Time is an argument, memory is the caller's, nothing allocates. No features. Needs Rust 1.91. Nothing here may run inside an
//! allocator.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

mod address;
pub mod datagram;
pub mod outbox;
pub mod push;
pub mod ring;
pub mod stack;
pub mod tcp;
mod value;

pub use self::address::{ALLOW_MAX, Addressing, Allow, Cidr, Target, parse_cidr};
pub use self::value::BadValue;

use core::net::Ipv4Addr;

use units::Micros;

/// Every bound of the network side, with its reason.
pub mod bounds {
    use units::Micros;

    /// Payload of the largest datagram, in bytes. 1,500 (Ethernet) less 20 (IPv4) and 8 (UDP) leaves 1,472;
    /// 40 more are left for a tunnel on the way, because a fragment lost there would lose every line in it.
    pub const DATAGRAM_MAX: usize = 1_432;
    /// Longest line, in bytes, its line feed included: it must fit a datagram, for lines are never cut.
    pub const LINE_MAX: usize = DATAGRAM_MAX;
    /// Lines that one source may need when its fields do not fit one, see `emit` of the crate `agent`: as many as
    /// that, of full length, the outbox has room for before a source is encoded.
    pub const LINES_PER_SOURCE: usize = 4;
    /// Lines written in one round while the outbox has room: about what one datagram takes away. The encoding
    /// of a line takes 0.1 µs to 20 µs (under TCG), and a turn has eight rounds.
    pub const LINES_PER_ROUND: usize = 8;
    /// Memory for lines that wait, in bytes. At about 500 bytes a line and ten lines an interval, two minutes
    /// of a receiver's absence.
    pub const QUEUE_BYTES: usize = 64 * 1024;
    /// Lines that wait. So many that memory is the bound unless lines are shorter than 64 bytes.
    pub const QUEUE_LINES: usize = 1_024;
    /// Send buffer of the connection that carries metrics, in bytes: five full segments, enough to fill a link
    /// of 100 Mbit/s at the round trip of a private network (0.5 ms).
    pub const PUSH_SEND_BYTES: usize = 8 * 1024;
    /// Receive buffer of that connection, in bytes. What a receiver says is thrown away.
    pub const PUSH_RECEIVE_BYTES: usize = 256;
    /// Memory for lines that are on the way, in bytes: what fits the send buffer and the line that does not
    /// fit any more.
    pub const ON_THE_WAY_BYTES: usize = PUSH_SEND_BYTES + LINE_MAX;

    /// Connections that the control port serves at a time: a handful of people and a script.
    pub const CONTROL_CONNECTIONS: usize = 8;
    /// Sockets that wait for the connection after those, so that it is refused and counted. smoltcp has no
    /// backlog: without a socket that listens, a SYN is answered by a reset that nobody counts. Two, so that
    /// one listens while the reset of the other is on its way.
    pub const CONTROL_SPARE: usize = 2;
    /// Sockets of the control port.
    pub const CONTROL_SOCKETS: usize = CONTROL_CONNECTIONS + CONTROL_SPARE;
    /// Longest control command, in bytes, without its end.
    pub const COMMAND_MAX: usize = 1_024;
    /// Longest reply to a control command that is made at once, in bytes, with its line feed; a longer one, a listing, is made in
    /// parts of at most this.
    pub const REPLY_MAX: usize = 1_024;
    /// Receive buffer of a control connection, in bytes: a whole command in one piece.
    pub const CONTROL_RECEIVE_BYTES: usize = 1_024;
    /// Send buffer of a control connection, in bytes: a whole short reply, or a piece of a listing.
    pub const CONTROL_SEND_BYTES: usize = REPLY_MAX;

    /// A control connection on which nothing moves for so long is closed, unless the configuration says otherwise.
    pub const CONTROL_IDLE: Micros = Micros::from_secs(60);
    /// A connection that is not opened in this time (the third segment of the handshake is missing) gives its
    /// socket back: two retransmissions of the SYN-ACK (after 1 s and 2 s) and some.
    pub const OPENING: Micros = Micros::from_secs(5);
    /// A closed connection whose peer does not close its half, or does not read the rest, is reset after this
    /// time.
    pub const LINGER: Micros = Micros::from_secs(5);
    /// What the peer may still send meanwhile, in bytes; with more the connection is reset. What a browser asks, or a window's worth
    /// that was on its way: unread it would fill the receive buffer, and the peer's close could not come in behind it.
    pub const LINGER_BYTES: usize = 64 * 1024;

    /// A socket whose last segment (a reset, or the acknowledgement of a close) has not left in this time is
    /// used again without. Longer than smoltcp delays an acknowledgement (10 ms), so that only a segment which
    /// has no way out is given up; the peer's retransmission is answered by a reset then.
    pub const LEAVING: Micros = Micros::from_secs(1);

    /// Time between the keep-alive probes of an idle connection that carries metrics.
    pub const KEEP_ALIVE: Micros = Micros::from_secs(10);
    /// Silence after which that connection is given up: three probes without an answer, and some.
    pub const SILENCE: Micros = Micros::from_secs(35);
    /// A peer that acknowledges no byte of what waits for so long is given up. Longer than a stop-the-world
    /// pause or a restart of a receiver's container; the queue holds what is collected meanwhile.
    pub const STALL: Micros = Micros::from_secs(30);
    /// Time that a connection which the peer has closed is given to acknowledge what is on the way.
    pub const DRAIN: Micros = Micros::from_secs(2);
    /// Shortest time for a connection attempt: a round trip, and one second in which smoltcp sends no second
    /// ARP request.
    pub const CONNECT_MIN: Micros = Micros::from_millis(1_500);
    /// Longest time for a connection attempt: three retransmissions of the SYN (after 1, 2 and 4 s).
    pub const CONNECT_MAX: Micros = Micros::from_secs(8);
    /// DHCP messages that are taken at once. A lease takes two, an offer and an acknowledgement; a few servers may
    /// answer.
    pub const DHCP_BURST: u32 = 8;
    /// Time after which one more is taken. smoltcp answers each refusal with a new question at once, so a server
    /// that refuses everything would otherwise be asked thousands of times a second, above all other work.
    pub const DHCP_EVERY: Micros = Micros::from_secs(1);
    /// Without an address for so long, DHCP is said to fail: five questions, 2 s apart, have had no answer.
    pub const DHCP_PATIENCE: Micros = Micros::from_secs(10);
    /// First pause after a failed attempt.
    pub const BACK_OFF_MIN: Micros = Micros::from_millis(100);
    /// Longest pause. The pause also never exceeds the interval: one attempt per interval is no more traffic
    /// than the metrics themselves, and lines are to arrive within three intervals of a receiver's return.
    pub const BACK_OFF_MAX: Micros = Micros::from_secs(30);
    /// What a peer's TCP acknowledged so shortly before its connection broke may not have been read by the
    /// receiver: such lines are counted as in doubt. A receiver that lives reads within a second.
    pub const DOUBT: Micros = Micros::from_secs(1);

    /// Connections to the memtrace port at a time: one gets a trace, one is being told that it does not.
    pub const TRACE_CONNECTIONS: usize = 2;
    /// Sockets of the memtrace port: one more listens meanwhile.
    pub const TRACE_SOCKETS: usize = TRACE_CONNECTIONS + 1;
    /// Send buffer of the memtrace port, in bytes: as the emitter's. A packet of up to 32 KiB waits in the encoder, and samples in the ring.
    pub const TRACE_SEND_BYTES: usize = 8 * 1024;
    /// Receive buffer of the memtrace port, in bytes: whatever a client says ends the trace.
    pub const TRACE_RECEIVE_BYTES: usize = 64;
    /// Between two looks at the ring. It holds some 2,700 samples, at the default rate of 200 MB that are allocated.
    pub const TRACE_EVERY: Micros = Micros::from_millis(10);
    /// If something has waited for the client of the memtrace port for so long, what the profile that is always on knows is behind, and
    /// that is said. A client that keeps up is waited for some milliseconds at a time.
    pub const BEHIND: Micros = Micros::from_secs(1);
    /// Time that a client has to take the rest of a trace that was ended.
    pub const ENDING: Micros = Micros::from_secs(5);

    /// Frames taken from the device in one round. Each costs a few µs.
    pub const FRAMES_PER_ROUND: usize = 8;
    /// Rounds of receiving, working and sending in one turn: 64 frames in and as many out. Other tasks wait for as
    /// long as a turn takes: 1.2 ms at most under QEMU's TCG while 10,000 fields a second were sent.
    pub const ROUNDS_PER_TURN: usize = 8;
    /// Pause before the next attempt when the device takes no frame although one is due.
    pub const DEVICE_FULL_PAUSE: Micros = Micros::from_millis(1);

    const _: () = {
        assert!(LINE_MAX <= QUEUE_BYTES, "a line must fit the empty queue");
        assert!(LINE_MAX + PUSH_SEND_BYTES <= ON_THE_WAY_BYTES);
        assert!(DATAGRAM_MAX <= ON_THE_WAY_BYTES);
        assert!(
            REPLY_MAX <= CONTROL_SEND_BYTES,
            "a reply must fit the empty send buffer"
        );
        assert!(
            CONTROL_SPARE > 0,
            "without a spare socket nothing listens when all are taken"
        );
        assert!(BACK_OFF_MIN.0 <= BACK_OFF_MAX.0 && CONNECT_MIN.0 <= CONNECT_MAX.0);
    };
}

/// A stream of bytes with a peer, as a service sees it.
pub trait Stream {
    /// What has arrived, oldest first: all of it or a first part, empty only if nothing has.
    fn peek(&mut self) -> &[u8];

    /// Takes `count` bytes of what [`Stream::peek`] showed.
    fn consume(&mut self, count: usize);

    /// Whether nothing will arrive any more, apart from what can be peeked.
    fn ended(&self) -> bool;

    /// Hands over bytes to be sent; returns how many were taken, from the front. Never blocks.
    fn write(&mut self, bytes: &[u8]) -> usize;

    /// Bytes that were handed over and are not yet acknowledged by the peer's TCP.
    fn unacknowledged(&self) -> usize;
}

/// A connection that the image opens itself.
pub trait Link: Stream {
    /// What the connection is doing.
    fn state(&self) -> LinkState;

    /// Starts to connect. Whatever the last connection left behind is forgotten.
    ///
    /// # Errors
    /// [`Unreachable`] if there is no address to connect from.
    fn connect(&mut self) -> Result<(), Unreachable>;

    /// Sends what was handed over, then closes the own half.
    fn close(&mut self);

    /// Ends the connection at once, with a reset.
    fn abort(&mut self);
}

/// What a [`Link`] is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The peer has not answered yet.
    Connecting,
    /// Both halves are open.
    Open,
    /// The peer has closed its half.
    PeerClosed,
    /// The own half is being closed.
    Closing,
    /// There is no connection.
    Closed(Closed),
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// None was opened, or it was ended from this side.
    Here,
    /// The peer reset it, or refused it.
    Reset,
    /// The peer has not been heard for too long.
    Silent,
}

/// There is no address to connect from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

/// A way to send datagrams to one peer, one at a time.
pub trait Datagrams {
    /// Largest payload, in bytes.
    fn limit(&self) -> usize;

    /// Whether the last one still waits, for the device or for the peer's hardware address.
    fn pending(&self) -> bool;

    /// Hands over one datagram, in two pieces; `false`, and nothing happens, if one is pending.
    fn send(&mut self, first: &[u8], second: &[u8]) -> bool;

    /// Takes the pending one back.
    fn cancel(&mut self);
}

/// What a service wants to happen to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Go on; call again when bytes have arrived or were acknowledged, and at this time at the latest.
    Stay(Micros),
    /// Send what was handed over, then close.
    Close,
    /// End it at once.
    Abort,
}

/// A service behind a listening port.
///
/// `slot` is the number of the connection, below the number of the port's sockets; a slot has one connection
/// at a time.
pub trait Service {
    /// Whether a peer whose address is allowed may connect now: asked once for each connection, before it is opened.
    fn admits(&mut self, _slot: usize, _now: Micros, _peer: Ipv4Addr) -> bool {
        true
    }

    /// A connection was opened.
    fn opened(&mut self, slot: usize, now: Micros);

    /// A connection that was opened is gone, and the service did not ask for it.
    fn closed(&mut self, slot: usize) {
        let _ = slot;
    }

    /// A connection was refused because all sockets were taken.
    fn turned_away(&mut self) {}

    /// The connection may have moved, or the time that the service asked for has come. Bounded work.
    fn turn(&mut self, slot: usize, now: Micros, stream: &mut dyn Stream) -> Step;
}
