//! The states in which an attack starts: every state of every socket, and what waits in its buffers.

use network::stack::SocketCounts;
use units::Micros;

use crate::frames::{ACK, Dhcp, FIN, PSH, RST, SYN, Segment};
use crate::world::{
    CONTROL, Flow, GUEST, HERE, Kind, METRICS, Numbers, PEER, World, reply, syn, with,
};

/// A state, how the stack gets into it, and how many sockets are then opening, open, closing and in TIME-WAIT.
pub struct Start {
    pub name: &'static str,
    pub kind: Kind,
    pub make: fn(&mut World<'_>) -> Flow,
    pub sockets: [u64; 4],
}

impl Start {
    /// Calls `f` with a stack in this state and the connection to attack.
    pub fn with<R>(&self, f: impl FnOnce(&mut World<'_>, Flow) -> R) -> R {
        with(self.kind, |world| {
            let flow = (self.make)(world);
            let SocketCounts {
                opening,
                established,
                closing,
                time_wait,
                ..
            } = world.stack.socket_counts();
            let sockets = [opening, established, closing, time_wait];
            assert_eq!(sockets, self.sockets, "{}", self.name);
            f(world, flow)
        })
    }
}

const HERE_TO_CONTROL: Flow = (CONTROL, HERE);

const fn start(
    name: &'static str,
    kind: Kind,
    make: fn(&mut World<'_>) -> Flow,
    sockets: [u64; 4],
) -> Start {
    Start {
        name,
        kind,
        make,
        sockets,
    }
}

/// Connections that others open.
const LISTENER: &[Start] = &[
    start("listening", Kind::Udp, |_| HERE_TO_CONTROL, [0, 0, 0, 0]),
    start(
        "a SYN that was not read yet",
        Kind::Udp,
        syn_waits,
        [0, 0, 0, 0],
    ),
    start("SYN-RECEIVED", Kind::Udp, opening, [1, 0, 0, 0]),
    start(
        "a handshake that was reset",
        Kind::Udp,
        reset_handshake,
        [0, 0, 0, 0],
    ),
    start(
        "SYN-RECEIVED after a reset",
        Kind::Udp,
        second_handshake,
        [1, 0, 0, 0],
    ),
    start("open", Kind::Udp, |world| world.connect(HERE), [0, 1, 0, 0]),
    start("open, data in flight", Kind::Udp, in_flight, [0, 1, 0, 0]),
    start(
        "open, a retransmission",
        Kind::Udp,
        retransmitted,
        [0, 1, 0, 0],
    ),
    start(
        "open, two duplicate acknowledgments",
        Kind::Udp,
        duplicates,
        [0, 1, 0, 0],
    ),
    start("open, a fast retransmission", Kind::Udp, fast, [0, 1, 0, 0]),
    start("open, our window is full", Kind::Udp, full, [0, 1, 0, 0]),
    start(
        "open, the peer's window is full",
        Kind::Udp,
        no_window,
        [0, 1, 0, 0],
    ),
    start("open, a hole", Kind::Udp, hole, [0, 1, 0, 0]),
    start("open, four holes", Kind::Udp, holes, [0, 1, 0, 0]),
    start("CLOSE-WAIT", Kind::Udp, close_wait, [0, 0, 1, 0]),
    start("LAST-ACK", Kind::Udp, last_ack, [0, 0, 1, 0]),
    start("FIN-WAIT-1", Kind::Udp, fin_wait_1, [0, 0, 1, 0]),
    start(
        "FIN-WAIT-1, the peer's window is full",
        Kind::Udp,
        fin_waits,
        [0, 0, 1, 0],
    ),
    start(
        "FIN-WAIT-1, window probes",
        Kind::Udp,
        probing,
        [0, 0, 1, 0],
    ),
    start("FIN-WAIT-2", Kind::Udp, fin_wait_2, [0, 0, 1, 0]),
    start("CLOSING", Kind::Udp, closing, [0, 0, 1, 0]),
    start("TIME-WAIT", Kind::Udp, time_wait, [0, 0, 0, 1]),
    start(
        "a socket for the second time",
        Kind::Udp,
        second_time,
        [0, 1, 0, 0],
    ),
];

/// The connection that carries metrics.
const CLIENT: &[Start] = &[
    start(
        "no connection",
        Kind::Tcp,
        |_| (50_000, METRICS),
        [0, 0, 0, 0],
    ),
    start(
        "SYN-SENT, before the SYN is made",
        Kind::Tcp,
        syn_not_made,
        [1, 0, 0, 0],
    ),
    start(
        "SYN-SENT, before the SYN has left",
        Kind::Alone,
        syn_held,
        [1, 0, 0, 0],
    ),
    start("SYN-SENT", Kind::Tcp, dialed, [1, 0, 0, 0]),
    start(
        "SYN-SENT for the second time",
        Kind::Tcp,
        dialed_again,
        [1, 0, 0, 0],
    ),
    start(
        "connected",
        Kind::Tcp,
        |world| connected(world, 64_000),
        [0, 1, 0, 0],
    ),
    start(
        "connected, window 0",
        Kind::Tcp,
        |world| connected(world, 0),
        [0, 1, 0, 0],
    ),
    start("connected, lines in flight", Kind::Tcp, lines, [0, 1, 0, 0]),
    start(
        "connected, many lines for a window of 0",
        Kind::Tcp,
        stalled,
        [0, 1, 0, 0],
    ),
    start(
        "the receiver has closed",
        Kind::Tcp,
        receiver_closed,
        [0, 0, 1, 0],
    ),
    start("both have closed", Kind::Tcp, both_closed, [0, 0, 1, 0]),
    start("we have closed", Kind::Tcp, we_closed, [0, 0, 1, 0]),
    start(
        "we have closed, window probes",
        Kind::Tcp,
        client_probing,
        [0, 0, 1, 0],
    ),
    start(
        "we have closed, and it knows",
        Kind::Tcp,
        it_knows,
        [0, 0, 1, 0],
    ),
    start(
        "we have closed at the same time",
        Kind::Tcp,
        crossed,
        [0, 0, 1, 0],
    ),
    start("closed", Kind::Tcp, closed, [0, 0, 0, 1]),
];

/// Datagrams and DHCP.
const DATAGRAMS: &[Start] = &[
    start("a datagram has left", Kind::Udp, sent, [0, 0, 0, 0]),
    start("no offer", Kind::Dhcp, |_| HERE_TO_CONTROL, [0, 0, 0, 0]),
    start("an offer", Kind::Dhcp, offered, [0, 0, 0, 0]),
    start(
        "a lease",
        Kind::Dhcp,
        |world| leased(world, 3_600),
        [0, 0, 0, 0],
    ),
    start("a renewal", Kind::Dhcp, renewing, [0, 0, 0, 0]),
    start("a rebinding", Kind::Dhcp, rebinding, [0, 0, 0, 0]),
    start(
        "a lease and a connection",
        Kind::Dhcp,
        leased_and_open,
        [0, 1, 0, 0],
    ),
];

/// Returns all states.
pub fn all() -> impl Iterator<Item = &'static Start> {
    LISTENER.iter().chain(CLIENT).chain(DATAGRAMS)
}

/// Returns the states of DHCP.
pub fn dhcp() -> impl Iterator<Item = &'static Start> {
    DATAGRAMS.iter().filter(|start| start.kind == Kind::Dhcp)
}

fn syn_waits(world: &mut World<'_>) -> Flow {
    world.card.arrived.push_back(syn(HERE).frame());
    HERE_TO_CONTROL
}

fn opening(world: &mut World<'_>) -> Flow {
    world.take(syn(HERE).frame());
    HERE_TO_CONTROL
}

fn reset_handshake(world: &mut World<'_>) -> Flow {
    let flow = opening(world);
    world.speak(flow, RST, b"");
    flow
}

fn second_handshake(world: &mut World<'_>) -> Flow {
    let flow = opening(world);
    let reset = reply(flow, world.flows[&flow], RST, b"").frame();
    // Before the listener sees that the first one has gone.
    world.card.arrived.extend([reset, syn(HERE + 1).frame()]);
    world.settle();
    (CONTROL, HERE + 1)
}

fn in_flight(world: &mut World<'_>) -> Flow {
    let flow = world.connect(HERE);
    world.speak(flow, ACK | PSH, &[b'x'; 600]);
    flow
}

fn retransmitted(world: &mut World<'_>) -> Flow {
    let flow = in_flight(world);
    world.pass(Micros::from_millis(3_500));
    flow
}

/// Sends the acknowledgment of nothing so many times.
fn repeat(world: &mut World<'_>, times: usize) -> Flow {
    let flow = in_flight(world);
    let mut numbers = world.flows[&flow];
    numbers.next = numbers.next.wrapping_sub(600);
    for _ in 0..=times {
        world.take(reply(flow, numbers, ACK, b"").frame());
    }
    flow
}

fn duplicates(world: &mut World<'_>) -> Flow {
    repeat(world, 2)
}

fn fast(world: &mut World<'_>) -> Flow {
    repeat(world, 3)
}

fn full(world: &mut World<'_>) -> Flow {
    world.echo.deaf = true;
    let flow = world.connect(HERE);
    world.speak(flow, ACK, &[b'x'; 1_024]);
    world.pass(Micros::from_millis(20));
    assert_eq!(world.segments.last().map(|it| it.window), Some(0));
    flow
}

fn no_window(world: &mut World<'_>) -> Flow {
    let flow = world.connect(HERE);
    let no_window = Segment {
        window: 0,
        ..reply(flow, world.flows[&flow], ACK, &[b'x'; 600])
    };
    world.take(no_window.frame());
    flow
}

/// Sends a byte that is `ahead` of the next one.
fn ahead(world: &mut World<'_>, flow: Flow, ahead: u32) {
    let mut numbers = world.flows[&flow];
    numbers.expected = numbers.expected.wrapping_add(ahead);
    world.take(reply(flow, numbers, ACK, b"x").frame());
}

fn hole(world: &mut World<'_>) -> Flow {
    let flow = world.connect(HERE);
    ahead(world, flow, 100);
    flow
}

fn holes(world: &mut World<'_>) -> Flow {
    let flow = world.connect(HERE);
    for number in 1..=4 {
        ahead(world, flow, 100 * number);
    }
    flow
}

fn close_wait(world: &mut World<'_>) -> Flow {
    world.echo.stays = true;
    let flow = world.connect(HERE);
    world.speak(flow, ACK | FIN, b"");
    flow
}

fn last_ack(world: &mut World<'_>) -> Flow {
    let flow = world.connect(HERE);
    world.speak(flow, ACK | FIN, b"");
    flow
}

fn fin_wait_1(world: &mut World<'_>) -> Flow {
    let flow = world.connect(HERE);
    world.speak(flow, ACK, b"c");
    flow
}

fn fin_waits(world: &mut World<'_>) -> Flow {
    let flow = no_window(world);
    let no_window = Segment {
        window: 0,
        ..reply(flow, world.flows[&flow], ACK, b"c")
    };
    world.take(no_window.frame());
    flow
}

/// Acknowledges one byte of what was sent, and closes the window.
fn closes_window(world: &mut World<'_>, flow: Flow, sent: u32) -> Flow {
    let mut numbers = world.flows[&flow];
    numbers.next = numbers.next.wrapping_sub(sent);
    let segment = Segment {
        window: 0,
        ..reply(flow, numbers, ACK, b"")
    };
    world.take(segment.frame());
    flow
}

fn probing(world: &mut World<'_>) -> Flow {
    let flow = world.connect(HERE);
    world.speak(flow, ACK, &[b'c'; 600]);
    closes_window(world, flow, 600)
}

fn client_probing(world: &mut World<'_>) -> Flow {
    let flow = we_closed(world);
    closes_window(world, flow, 3_000)
}

fn fin_wait_2(world: &mut World<'_>) -> Flow {
    let flow = fin_wait_1(world);
    world.speak(flow, ACK, b"");
    flow
}

fn closing(world: &mut World<'_>) -> Flow {
    let flow = fin_wait_1(world);
    let mut numbers = world.flows[&flow];
    // Of the answer, but not of our FIN.
    numbers.next = numbers.next.wrapping_sub(1);
    world.take(reply(flow, numbers, ACK | FIN, b"").frame());
    flow
}

fn time_wait(world: &mut World<'_>) -> Flow {
    let flow = fin_wait_1(world);
    world.speak(flow, ACK | FIN, b"");
    flow
}

fn second_time(world: &mut World<'_>) -> Flow {
    let flow = fast(world);
    world.speak(flow, RST, b"");
    world.connect(HERE + 1)
}

/// Returns the connection and the numbers of the SYN that a stack sends in the same state.
fn next_syn() -> (Flow, Numbers) {
    with(Kind::Tcp, |other| {
        let flow = dialed(other);
        (flow, other.flows[&flow])
    })
}

fn syn_not_made(world: &mut World<'_>) -> Flow {
    let (flow, numbers) = next_syn();
    world.flows.insert(flow, numbers);
    world.start_to_connect();
    flow
}

fn syn_held(world: &mut World<'_>) -> Flow {
    let (flow, numbers) = next_syn();
    world.flows.insert(flow, numbers);
    assert_eq!(world.dial(), None);
    flow
}

fn dialed(world: &mut World<'_>) -> Flow {
    world.dial().expect("a SYN")
}

fn dialed_again(world: &mut World<'_>) -> Flow {
    dialed(world);
    world.pass(Micros::from_millis(3_500));
    dialed(world)
}

fn connected(world: &mut World<'_>, window: u16) -> Flow {
    let flow = dialed(world);
    let mut numbers = world.flows[&flow];
    numbers.expected = 7_000;
    let answer = Segment {
        window,
        ..reply(flow, numbers, ACK | SYN, b"")
    };
    world.take(answer.frame());
    flow
}

fn lines(world: &mut World<'_>) -> Flow {
    let flow = connected(world, 64_000);
    world.link(|link| assert_eq!(link.write(&[b'x'; 3_000]), 3_000));
    flow
}

fn stalled(world: &mut World<'_>) -> Flow {
    let flow = connected(world, 0);
    world.link(|link| assert_eq!(link.write(&[b'x'; 10_000]), 8_192));
    world.pass(Micros::from_millis(3_500));
    flow
}

fn receiver_closed(world: &mut World<'_>) -> Flow {
    let flow = lines(world);
    world.speak(flow, ACK | FIN, b"");
    flow
}

fn both_closed(world: &mut World<'_>) -> Flow {
    let flow = receiver_closed(world);
    world.link(|link| link.close());
    flow
}

fn we_closed(world: &mut World<'_>) -> Flow {
    let flow = lines(world);
    world.link(|link| link.close());
    flow
}

fn it_knows(world: &mut World<'_>) -> Flow {
    let flow = we_closed(world);
    world.speak(flow, ACK, b"");
    flow
}

fn crossed(world: &mut World<'_>) -> Flow {
    let flow = lines(world);
    let numbers = world.flows[&flow];
    world.link(|link| link.close());
    world.take(reply(flow, numbers, ACK | FIN, b"").frame());
    flow
}

fn closed(world: &mut World<'_>) -> Flow {
    let flow = we_closed(world);
    world.speak(flow, ACK | FIN, b"");
    flow
}

fn sent(world: &mut World<'_>) -> Flow {
    assert!(world.datagram());
    HERE_TO_CONTROL
}

/// The options of a lease: the server, the mask, the time in seconds.
pub fn options(seconds: u32) -> Vec<u8> {
    let mut options = vec![54, 4, 10, 0, 2, 2, 1, 4, 255, 255, 255, 0, 51, 4];
    options.extend(seconds.to_be_bytes());
    options
}

/// An answer to the last message of the stack.
pub fn answer(world: &World<'_>, kind: u8, seconds: u32) -> Dhcp {
    let last = world.messages.last().expect("a message");
    Dhcp {
        kind,
        xid: last.xid,
        address: GUEST,
        server: PEER,
        options: options(seconds),
    }
}

fn offered(world: &mut World<'_>) -> Flow {
    let offer = answer(world, 2, 3_600);
    world.take(offer.frame());
    assert_eq!(
        world.messages.last().map(|it| it.kind),
        Some(3),
        "a request"
    );
    HERE_TO_CONTROL
}

fn leased(world: &mut World<'_>, seconds: u32) -> Flow {
    let flow = offered(world);
    let acknowledgment = answer(world, 5, seconds);
    world.take(acknowledgment.frame());
    assert_eq!(world.gained, 1);
    flow
}

fn renewing(world: &mut World<'_>) -> Flow {
    let flow = leased(world, 600);
    let before = world.messages.len();
    world.pass(Micros::from_secs(310));
    assert!(world.messages.len() > before, "a renewal");
    flow
}

fn rebinding(world: &mut World<'_>) -> Flow {
    let flow = leased(world, 600);
    world.pass(Micros::from_secs(540));
    flow
}

fn leased_and_open(world: &mut World<'_>) -> Flow {
    leased(world, 3_600);
    world.connect(HERE)
}
