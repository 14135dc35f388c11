//! A stack, the frames that it sends, and a host by hand beside it. Time is simulated.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::collections::{BTreeMap, VecDeque};

use network::stack::{
    AddressEvent, NO_SOCKET, SOCKETS, Settings, SocketMemory, Stack, StackMemory, Way,
};
use network::{Addressing, Allow, Datagrams as _, Key, Link as _, Service, Step, Stream, Target};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use units::Micros;

use crate::frames::{self, Dhcp, Segment};

pub const GUEST_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const PEER_MAC: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const CONTROL: u16 = 2323;
pub const METRICS: u16 = 8094;
/// The port of the host by hand.
pub const HERE: u16 = 40_000;

/// Rounds after which a stack that still has something to do at once is said to spin.
const ROUNDS: usize = 2_000;

/// A network card.
#[derive(Default)]
pub struct Card {
    pub arrived: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
    /// `true` if there is no room for a frame to send.
    is_full: bool,
}

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut frame = vec![0; length];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Card {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        Some((Rx(self.arrived.pop_front()?), Tx(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        (!self.is_full).then_some(Tx(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1_514;
        capabilities
    }
}

/// A service that sends back what it gets. It closes after a `c`.
#[derive(Default)]
pub struct Echo {
    /// `true` if it reads nothing.
    pub deaf: bool,
    /// `true` if it does not close when its peer has.
    pub stays: bool,
}

impl Service for Echo {
    fn opened(&mut self, _: usize, _: Micros) {}

    fn turn(&mut self, _: usize, now: Micros, stream: &mut dyn Stream) -> Step {
        let later = Step::Stay(now + Micros::from_secs(60));
        if self.deaf {
            return later;
        }
        let mut closes = stream.ended() && !self.stays;
        loop {
            let bytes = stream.peek().to_vec();
            let taken = stream.write(&bytes);
            stream.consume(taken);
            closes |= bytes[..taken].contains(&b'c');
            if taken == 0 {
                break;
            }
        }
        if closes { Step::Close } else { later }
    }
}

/// The way in which the stack gets its address and sends metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A static address; metrics by TCP.
    Tcp,
    /// The same, and nobody answers questions for hardware addresses.
    Alone,
    /// A static address; metrics by UDP.
    Udp,
    /// An address by DHCP; metrics by UDP.
    Dhcp,
}

/// A connection, seen from the stack: its port, the peer's port.
pub type Flow = (u16, u16);

/// The stack's next sequence number, and the one that it expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub next: u32,
    pub expected: u32,
}

pub struct World<'a> {
    pub stack: Stack<'a>,
    pub card: Card,
    pub now: Micros,
    pub echo: Echo,
    /// `true` if the host by hand answers questions for its hardware address.
    pub answers: bool,
    /// The last numbers of each connection.
    pub flows: BTreeMap<Flow, Numbers>,
    /// Segments and DHCP messages since they were last looked at.
    pub segments: Vec<Segment>,
    pub messages: Vec<Dhcp>,
    /// Changes of the address.
    pub gained: usize,
}

/// Makes a stack with its memory and hands it to `f`.
pub fn with<R>(kind: Kind, f: impl FnOnce(&mut World<'_>) -> R) -> R {
    let mut buffers = vec![0; StackMemory::bytes(4096)];
    let mut datagram = [StackMemory::NO_DATAGRAM];
    let mut sockets: [SocketMemory<'_>; SOCKETS] = [NO_SOCKET; SOCKETS];
    let remote = SocketAddrV4::new(PEER, METRICS);
    let settings = Settings {
        addressing: match kind {
            Kind::Dhcp => Addressing::Dhcp,
            Kind::Tcp | Kind::Alone | Kind::Udp => Addressing::Static {
                cidr: network::parse_cidr("10.0.2.15/24").expect("an address"),
                gateway: None,
            },
        },
        target: match kind {
            Kind::Tcp | Kind::Alone => Target::Tcp(remote),
            Kind::Udp | Kind::Dhcp => Target::Udp(remote),
        },
        allow: Allow::ALL,
        control_port: Some(CONTROL),
        memtrace_port: Some(4242),
    };
    let memory = StackMemory {
        sockets: &mut sockets,
        buffers: &mut buffers,
        datagram: &mut datagram,
    };
    let mut card = Card::default();
    let now = Micros::from_secs(1);
    let stack = Stack::new(
        &settings,
        memory,
        &mut card,
        GUEST_MAC,
        Key::new([7; 16]),
        now,
    );
    let mut world = World {
        stack,
        card,
        now,
        echo: Echo::default(),
        answers: kind != Kind::Alone,
        flows: BTreeMap::new(),
        segments: Vec::new(),
        messages: Vec::new(),
        gained: 0,
    };
    world.settle();
    f(&mut world)
}

impl World<'_> {
    /// Runs rounds until nothing is left to do now.
    ///
    /// # Panics
    /// If that takes too long.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let taken = self.work();
            let sent = self.stack.egress(self.now, &mut self.card);
            self.look();
            let due = self
                .stack
                .poll_at(self.now)
                .is_some_and(|at| at <= self.now);
            if taken == 0 && !sent && !due && self.card.arrived.is_empty() {
                return;
            }
        }
        panic!("it spins");
    }

    /// Takes frames and lets the services work. Returns the number of frames.
    fn work(&mut self) -> usize {
        let taken = self.stack.ingress(self.now, &mut self.card, 8);
        while let Some(event) = self.stack.address_event(self.now) {
            self.gained += usize::from(matches!(event, AddressEvent::Gained { .. }));
        }
        self.stack.serve_control(self.now, &mut self.echo);
        self.stack.serve_trace(self.now, &mut self.echo);
        taken
    }

    /// Runs a round in which the card has no room for what the services send.
    pub fn jam(&mut self) {
        self.work();
        self.card.is_full = true;
        self.stack.egress(self.now, &mut self.card);
        self.stack.poll_at(self.now);
        self.card.is_full = false;
        self.look();
    }

    /// Reads the frames that the stack has sent.
    fn look(&mut self) {
        while let Some(frame) = self.card.sent.pop_front() {
            if let Some(reply) = frames::answer(&frame)
                && self.answers
            {
                self.card.arrived.push_back(reply);
            }
            if let Some(segment) = Segment::of(&frame) {
                let flow = (segment.from, segment.to);
                let numbers = Numbers {
                    next: segment.seq.wrapping_add(segment.length()),
                    expected: segment.ack,
                };
                if segment.has(frames::RST) {
                    self.flows.remove(&flow);
                } else {
                    self.flows.insert(flow, numbers);
                }
                self.segments.push(segment);
            }
            self.messages.extend(Dhcp::of(&frame));
        }
    }

    /// Lets time pass, from deadline to deadline.
    pub fn pass(&mut self, span: Micros) {
        let end = self.now + span;
        self.settle();
        while self.now < end {
            let next = self.stack.poll_at(self.now).unwrap_or(Micros::MAX);
            // The services want to be called meanwhile.
            let next = next.min(self.now + Micros::from_secs(1));
            self.now = next.max(self.now + Micros(1)).min(end);
            self.settle();
        }
    }

    /// Puts a frame on the cable and lets the stack work.
    pub fn take(&mut self, frame: Vec<u8>) {
        self.card.arrived.push_back(frame);
        self.settle();
    }

    /// Sends a segment of the flow, with the numbers that it expects.
    pub fn speak(&mut self, flow: Flow, flags: u16, payload: &[u8]) {
        let numbers = self.flows[&flow];
        self.take(reply(flow, numbers, flags, payload).frame());
    }

    /// Opens a connection to the control port.
    pub fn connect(&mut self, port: u16) -> Flow {
        let flow = (CONTROL, port);
        self.take(syn(port).frame());
        self.speak(flow, frames::ACK, b"");
        flow
    }

    /// Starts the connection that carries metrics. Returns it, with the ports of the SYN if it has left.
    pub fn dial(&mut self) -> Option<Flow> {
        self.start_to_connect();
        self.segments.clear();
        self.settle();
        let syn = self.segments.iter().find(|it| it.has(frames::SYN))?;
        Some((syn.from, syn.to))
    }

    /// Starts that connection, before the stack sends anything.
    pub fn start_to_connect(&mut self) {
        match self.stack.way() {
            Way::Tcp(mut link) => link.connect().expect("there is an address"),
            _ => panic!("a connection"),
        }
    }

    /// Works on the connection that carries metrics.
    pub fn link<R>(&mut self, f: impl FnOnce(&mut dyn network::Link) -> R) -> R {
        let result = match self.stack.way() {
            Way::Tcp(mut link) => f(&mut link),
            _ => panic!("a connection"),
        };
        self.settle();
        result
    }

    /// Hands over a datagram.
    pub fn datagram(&mut self) -> bool {
        let sent = match self.stack.way() {
            Way::Udp(mut way) => way.send(b"line ", b"\n"),
            _ => panic!("datagrams"),
        };
        self.settle();
        sent
    }
}

/// The SYN of a connection to the control port.
pub fn syn(port: u16) -> Segment {
    Segment {
        from: port,
        to: CONTROL,
        seq: 1_000,
        flags: frames::SYN,
        window: 64_000,
        ..Segment::default()
    }
}

/// A segment with the numbers that the stack expects.
pub fn reply(flow: Flow, numbers: Numbers, flags: u16, payload: &[u8]) -> Segment {
    Segment {
        from: flow.1,
        to: flow.0,
        seq: numbers.expected,
        ack: numbers.next,
        flags,
        window: 64_000,
        payload: payload.to_vec(),
        ..Segment::default()
    }
}
