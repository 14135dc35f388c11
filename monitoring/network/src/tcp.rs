//! TCP sockets as the streams that services see: the outgoing connection and the incoming ones.
//!
//! Properties of smoltcp 0.14 that shape this file (`src/socket/tcp.rs` and `src/iface/interface/tcp.rs` there):
//! * One socket is one listener and has no backlog, so a port needs more sockets than connections.
//! * An aborted socket sends its reset only when it is polled; `listen` or `connect` before that drop the reset.
//! * `TIME-WAIT` does not block `connect` or `listen`, so a socket is reused long before its 10 s are over, but not
//!   before the peer's close is acknowledged. Every outgoing connection gets a new local port, so that the peer does
//!   not confuse it with the last one.
//! * A peer that answers window probes never times out, so the services must notice stalls.

use core::net::SocketAddrV4;

use smoltcp::iface::{Context, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration;

use super::bounds::{
    KEEP_ALIVE, LEAVING, LINGER, LINGER_BYTES, OPENING, PUSH_RECEIVE_BYTES, PUSH_SEND_BYTES,
    SILENCE,
};
use super::random::Random;
use super::stream::{Closed, Link, LinkState, Service, Step, Stream, Unreachable};
use units::Micros;

fn socket<'a>(receive: &'a mut [u8], send: &'a mut [u8]) -> Socket<'a> {
    let mut socket = Socket::new(SocketBuffer::new(receive), SocketBuffer::new(send));
    // All writes of one turn are sent together anyway. To wait for an acknowledgement would delay the second half of a
    // reply by the peer's delay (40 ms on Linux).
    socket.set_nagle_enabled(false);
    socket
}

/// A socket with an open connection as a stream.
struct SocketStream<'s, 'a>(&'s mut Socket<'a>);

impl Stream for SocketStream<'_, '_> {
    fn peek(&mut self) -> &[u8] {
        // The size only limits the result. An error means that no more bytes can arrive.
        self.0.peek(usize::MAX).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        let consumed = self.0.recv(|bytes| (count.min(bytes.len()), ()));
        debug_assert!(count == 0 || consumed.is_ok());
    }

    fn ended(&self) -> bool {
        !matches!(
            self.0.state(),
            State::Established | State::FinWait1 | State::FinWait2
        )
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        self.0.send_slice(bytes).unwrap_or(0)
    }

    fn unacknowledged(&self) -> usize {
        self.0.send_queue()
    }
}

/// The outgoing connection.
#[derive(Debug)]
pub(super) struct Client {
    handle: SocketHandle,
    remote: SocketAddrV4,
    ports: Random,
    port: u16,
    last: State,
    closed: Closed,
}

impl Client {
    pub(super) const MEMORY: usize = PUSH_RECEIVE_BYTES + PUSH_SEND_BYTES;

    pub(super) fn new<'a>(
        remote: SocketAddrV4,
        mut ports: Random,
        memory: &'a mut [u8],
        sockets: &mut SocketSet<'a>,
    ) -> Self {
        let (receive, send) = memory.split_at_mut(PUSH_RECEIVE_BYTES);
        let mut socket = socket(receive, send);
        socket.set_keep_alive(Some(Duration::from_micros(KEEP_ALIVE.0)));
        socket.set_timeout(Some(Duration::from_micros(SILENCE.0)));
        let handle = sockets.add(socket);
        Self {
            handle,
            remote,
            port: ports.port(),
            ports,
            last: State::Closed,
            closed: Closed::Here,
        }
    }

    /// Remembers the reason if the connection has ended. smoltcp does not report it. But a reset can only arrive in a
    /// frame, and smoltcp's time-outs take effect only when it sends. So `cause` is [`Closed::Reset`] after receiving
    /// and [`Closed::Silent`] after sending.
    pub(super) fn note(&mut self, sockets: &SocketSet<'_>, cause: Closed) {
        let state = sockets.get::<Socket<'_>>(self.handle).state();
        if state == State::Closed && self.last != State::Closed {
            self.closed = cause;
        }
        self.last = state;
    }

    /// Returns the other end.
    pub(super) const fn remote(&self) -> SocketAddrV4 {
        self.remote
    }

    /// Returns the local port of the connection, or of the last one.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Ends the connection because the interface has lost its address.
    pub(super) fn drop_connection(&mut self, sockets: &mut SocketSet<'_>) {
        self.abort(sockets.get_mut(self.handle));
    }

    fn abort(&mut self, socket: &mut Socket<'_>) {
        socket.abort();
        self.last = State::Closed;
        self.closed = Closed::Here;
    }

    pub(super) fn link<'s, 'a>(
        &'s mut self,
        sockets: &'s mut SocketSet<'a>,
        context: &'s mut Context,
    ) -> ClientLink<'s, 'a> {
        ClientLink {
            socket: sockets.get_mut(self.handle),
            client: self,
            context,
        }
    }
}

/// The outgoing connection, for one round.
pub struct ClientLink<'s, 'a> {
    client: &'s mut Client,
    socket: &'s mut Socket<'a>,
    context: &'s mut Context,
}

impl Stream for ClientLink<'_, '_> {
    fn peek(&mut self) -> &[u8] {
        self.socket.peek(usize::MAX).unwrap_or_default()
    }

    fn consume(&mut self, count: usize) {
        SocketStream(self.socket).consume(count);
    }

    fn ended(&self) -> bool {
        !matches!(
            self.socket.state(),
            State::Established | State::FinWait1 | State::FinWait2
        )
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        SocketStream(self.socket).write(bytes)
    }

    fn unacknowledged(&self) -> usize {
        self.socket.send_queue()
    }
}

impl Link for ClientLink<'_, '_> {
    fn state(&self) -> LinkState {
        match self.socket.state() {
            State::SynSent | State::SynReceived | State::Listen => LinkState::Connecting,
            State::Established => LinkState::Open,
            State::CloseWait => LinkState::PeerClosed,
            State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck => {
                LinkState::Closing
            }
            State::TimeWait => LinkState::Closed(Closed::Here),
            State::Closed => LinkState::Closed(self.client.closed),
        }
    }

    fn connect(&mut self) -> Result<(), Unreachable> {
        if self.socket.is_open() {
            self.client.abort(self.socket);
        }
        // Two in a row are the same once in 16,384 times; the peer may still know the former connection.
        let last = self.client.port;
        while self.client.port == last {
            self.client.port = self.client.ports.port();
        }
        self.socket
            .connect(self.context, self.client.remote, self.client.port)
            .map_err(|_| Unreachable)?;
        self.client.last = self.socket.state();
        Ok(())
    }

    fn close(&mut self) {
        self.socket.close();
    }

    fn abort(&mut self) {
        self.client.abort(self.socket);
    }
}

/// One socket of a listening port.
///
/// ```text
///                 1 a SYN                    2 the handshake is complete
///  ┌───────────┐ ────────────▶ ┌─────────┐ ─────────────────────────────▶ ┌─────────┐
///  │ Listening │               │ Opening │                                │ Serving │
///  └───────────┘ ◀──────────── └─────────┘        ┌─────────┐ ◀────────── └─────────┘
///   ▲  ▲     ▲      3 reset,        │             │ Closing │  5 the        │     │
///   │  │     │      12 given up     │ 4 OPENING,  └─────────┘  service      │     │
///   │  │     └──────────────────────│─── 7 closed ──┘  │ 8     closes       │     │ 9 the service
///   │  │                            │                  │ LINGER(_BYTES),    │     │ aborts, or the
///   │  │                            │ 10 no place      │ TIME-WAIT          │     │ place goes to
///   │  │                            ▼                  ▼                    │     │ a newcomer
///   │  │           ┌────────────────────────────────────────┐ ◀─────────────│─────┘
///   │  └────────── │                Leaving                 │               │
///   │  11 it left  └────────────────────────────────────────┘               │
///   └───────────────────────────── 6 reset ─────────────────────────────────┘
/// ```
/// A handshake holds a socket and no place: when no socket listens, the oldest handshake is given up (12). Spoofed
/// SYNs therefore keep nobody out as long as a handshake takes less time than as many SYNs as there are spare sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    Listening,
    Opening {
        deadline: Micros,
        /// The number of handshakes that began before.
        order: u64,
    },
    Serving,
    /// The bytes that the peer still sends are discarded.
    Closing {
        deadline: Micros,
        /// The number of such bytes that are accepted.
        bytes: usize,
    },
    /// The last segment (a reset, or the acknowledgement of the peer's close) is being sent.
    Leaving {
        until: Micros,
    },
}

/// Counts of a listening port, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenCounts {
    /// Connections that were opened.
    pub accepted: u64,
    /// Connections that were refused because all sockets were taken.
    pub refused: u64,
    /// Connections that were refused because of their peer's address.
    pub denied: u64,
    /// Connections that are being served now.
    pub open: u64,
}

/// The sizes of a listening port's connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Connections that are served at a time; fewer than sockets.
    pub connections: usize,
    /// Receive buffer of each socket, in bytes.
    pub receive: usize,
    /// Send buffer of each socket but the first, in bytes. The first one has the rest of the memory: a SYN takes the
    /// first socket that listens.
    pub send: usize,
    /// `true` if probes detect a peer that has vanished. Needed if nothing else ends such a connection.
    pub keep_alive: bool,
}

impl Size {
    /// Returns the memory of `sockets` sockets, in bytes.
    pub const fn memory(self, sockets: usize) -> usize {
        sockets * (self.receive + self.send)
    }
}

/// A port with more sockets than connections, so that one always listens.
#[derive(Debug)]
pub(super) struct Listener<const SOCKETS: usize> {
    handles: [SocketHandle; SOCKETS],
    slots: [Slot; SOCKETS],
    port: u16,
    connections: usize,
    handshakes: u64,
    counts: ListenCounts,
}

impl<const SOCKETS: usize> Listener<SOCKETS> {
    /// Creates a listener. `port` must not be 0; the memory must have at least the size of [`Size::memory`].
    pub(super) fn new<'a>(
        port: u16,
        size: Size,
        memory: &'a mut [u8],
        sockets: &mut SocketSet<'a>,
    ) -> Self {
        let (first, others) = memory.split_at_mut(memory.len() - size.memory(SOCKETS - 1));
        let others = others.chunks_exact_mut(size.memory(1));
        let mut memory = core::iter::once(first).chain(others);
        let handles = core::array::from_fn(|_| {
            let memory = memory.next().expect("memory for every socket");
            let (receive, send) = memory.split_at_mut(size.receive);
            let mut socket = socket(receive, send);
            if size.keep_alive {
                socket.set_keep_alive(Some(Duration::from_micros(KEEP_ALIVE.0)));
                socket.set_timeout(Some(Duration::from_micros(SILENCE.0)));
            }
            listen(&mut socket, port);
            sockets.add(socket)
        });
        Self {
            handles,
            slots: [Slot::Listening; SOCKETS],
            port,
            connections: size.connections,
            handshakes: 0,
            counts: ListenCounts::default(),
        }
    }

    /// Returns the port.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) const fn counts(&self) -> &ListenCounts {
        &self.counts
    }

    /// Returns `true` if no peer is connected and nothing is left to send.
    pub(super) fn is_quiet(&self) -> bool {
        let quiet = |slot: &Slot| matches!(slot, Slot::Listening | Slot::Leaving { .. });
        self.slots.iter().all(quiet)
    }

    /// Returns `true` if a socket listens.
    pub(super) fn listens(&self, sockets: &SocketSet<'_>) -> bool {
        self.handles
            .iter()
            .any(|&handle| sockets.get::<Socket<'_>>(handle).is_listening())
    }

    /// Makes the sockets new whose handshake was reset. Called before each frame that may be a SYN. smoltcp lets such a
    /// socket listen with what it remembers of its last peer: the next connection would take the time since then for a
    /// round trip, and repeat a lost segment only after a minute (`process`, `RttEstimator::on_ack`).
    pub(super) fn forget_handshakes(&mut self, sockets: &mut SocketSet<'_>) {
        for index in 0..SOCKETS {
            let socket = sockets.get_mut::<Socket<'_>>(self.handles[index]);
            if matches!(self.slots[index], Slot::Opening { .. }) && socket.is_listening() {
                self.listen_again(index, socket); // 3
            }
        }
    }

    /// Follows the sockets: accepts or refuses new connections, and makes sockets listen again. (smoltcp closes a
    /// connection whose address is gone when it is polled.)
    fn admit(&mut self, now: Micros, sockets: &mut SocketSet<'_>, service: &mut impl Service) {
        for index in 0..SOCKETS {
            let socket = sockets.get_mut::<Socket<'_>>(self.handles[index]);
            let closed = socket.state() == State::Closed;
            match self.slots[index] {
                Slot::Listening if closed => listen(socket, self.port),
                Slot::Listening if !socket.is_listening() => {
                    // 1
                    let (deadline, order) = (now + OPENING, self.handshakes);
                    self.handshakes += 1;
                    self.slots[index] = Slot::Opening { deadline, order };
                }
                Slot::Opening { .. } if socket.is_listening() => {
                    self.listen_again(index, socket); // 3
                }
                Slot::Opening { .. } | Slot::Serving | Slot::Closing { .. } if closed => {
                    if self.slots[index] == Slot::Serving {
                        service.closed(index);
                    }
                    self.listen_again(index, socket); // 3, 6, 7
                }
                Slot::Serving | Slot::Closing { .. } if socket.state() == State::TimeWait => {
                    if self.slots[index] == Slot::Serving {
                        service.closed(index);
                    }
                    // 8
                    let until = now + LEAVING;
                    self.slots[index] = Slot::Leaving { until };
                }
                Slot::Opening { deadline, .. } | Slot::Closing { deadline, .. }
                    if now >= deadline =>
                {
                    self.reset(index, now, socket); // 4, 8
                }
                Slot::Leaving { until } if socket.remote_endpoint().is_none() || now >= until => {
                    self.listen_again(index, socket); // 11
                }
                _ => {}
            }
        }
    }

    /// Makes one socket listen. Called when no socket listens, after there was a chance to send last segments. A
    /// connection whose last segment has not left goes first, then the oldest handshake, then the oldest connection that
    /// is being closed.
    pub(super) fn listen_now(&mut self, sockets: &mut SocketSet<'_>) {
        let rank = |slot: &Slot| match *slot {
            Slot::Leaving { until } => Some((0, until.0)),
            Slot::Opening { order, .. } => Some((1, order)),
            // A socket that has just got a SYN is still marked as listening.
            Slot::Listening => Some((2, 0)),
            Slot::Closing { deadline, .. } => Some((3, deadline.0)),
            Slot::Serving => None,
        };
        let ranked = self.slots.iter().enumerate();
        let first = ranked
            .filter_map(|(index, slot)| Some((rank(slot)?, index)))
            .min();
        if let Some((_, index)) = first {
            if matches!(self.slots[index], Slot::Opening { .. } | Slot::Listening) {
                self.counts.refused += 1;
            }
            self.listen_again(index, sockets.get_mut(self.handles[index])); // 11, 12
        }
    }

    /// Finds a place for a connection that is open: a free one, or the one that the service gives up.
    fn has_place(
        &mut self,
        now: Micros,
        sockets: &mut SocketSet<'_>,
        service: &mut impl Service,
    ) -> bool {
        if self.taken() < self.connections {
            return true;
        }
        // A connection that is being closed and has handed over everything, the oldest one first.
        let closing = (0..SOCKETS).filter_map(|index| match self.slots[index] {
            Slot::Closing { deadline, .. } => {
                let socket = sockets.get::<Socket<'_>>(self.handles[index]);
                (socket.send_queue() == 0).then_some((deadline, index))
            }
            _ => None,
        });
        let closing = closing.min().map(|(_, index)| index);
        let Some(index) = closing.or_else(|| service.gives_up(now)) else {
            return false;
        };
        self.reset(index, now, sockets.get_mut(self.handles[index])); // 9
        true
    }

    /// Lets the service work on every connection. Returns the latest time for the next call.
    pub(super) fn serve(
        &mut self,
        now: Micros,
        sockets: &mut SocketSet<'_>,
        service: &mut impl Service,
    ) -> Option<Micros> {
        self.admit(now, sockets, service);
        let mut next: Option<Micros> = None;
        for index in 0..SOCKETS {
            let handle = self.handles[index];
            let is_open = sockets.get::<Socket<'_>>(handle).state() != State::SynReceived;
            if matches!(self.slots[index], Slot::Opening { .. }) && is_open {
                if self.has_place(now, sockets, service) {
                    self.slots[index] = Slot::Serving; // 2
                    self.counts.accepted += 1;
                    service.opened(index, now);
                } else {
                    self.counts.refused += 1;
                    service.turned_away();
                    self.reset(index, now, sockets.get_mut(handle)); // 10
                }
            }
            let socket = sockets.get_mut::<Socket<'_>>(handle);
            if self.slots[index] == Slot::Serving {
                match service.turn(index, now, &mut SocketStream(socket)) {
                    Step::Stay(until) => next = earliest(next, until),
                    Step::Close => {
                        socket.close();
                        // 5
                        self.slots[index] = Slot::Closing {
                            deadline: now + LINGER,
                            bytes: LINGER_BYTES,
                        };
                    }
                    Step::Abort => self.reset(index, now, socket), // 9
                }
            }
            if let Slot::Closing { bytes, .. } = &mut self.slots[index] {
                match bytes.checked_sub(discard(socket)) {
                    Some(left) => *bytes = left,
                    None => self.reset(index, now, socket), // 8
                }
            }
            if let Slot::Opening { deadline: at, .. }
            | Slot::Closing { deadline: at, .. }
            | Slot::Leaving { until: at } = self.slots[index]
            {
                next = earliest(next, at);
            }
        }
        self.counts.open = self
            .slots
            .iter()
            .filter(|slot| **slot == Slot::Serving)
            .count() as u64;
        next
    }

    fn reset(&mut self, index: usize, now: Micros, socket: &mut Socket<'_>) {
        socket.abort();
        self.slots[index] = Slot::Leaving {
            until: now + LEAVING,
        };
    }

    fn listen_again(&mut self, index: usize, socket: &mut Socket<'_>) {
        if socket.is_open() {
            socket.abort();
        }
        listen(socket, self.port);
        self.slots[index] = Slot::Listening;
    }

    fn taken(&self) -> usize {
        let taken = |slot: &&Slot| matches!(slot, Slot::Serving | Slot::Closing { .. });
        self.slots.iter().filter(taken).count()
    }
}

/// Discards the bytes that have arrived. Returns their number.
fn discard(socket: &mut Socket<'_>) -> usize {
    let mut bytes = 0;
    // Twice where the buffer wraps around its end. An error means that no more bytes can arrive.
    while let Ok(count @ 1..) = socket.recv(|arrived| (arrived.len(), arrived.len())) {
        bytes += count;
    }
    bytes
}

fn listen(socket: &mut Socket<'_>, port: u16) {
    let listening = socket.listen(port);
    debug_assert!(
        listening.is_ok(),
        "the port is not 0 and the socket is closed: {listening:?}"
    );
}

fn earliest(one: Option<Micros>, other: Micros) -> Option<Micros> {
    Some(one.map_or(other, |one| one.min(other)))
}
