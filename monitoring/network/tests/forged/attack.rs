//! An attack: frames that a host on the link forges, chosen at random or by a fuzzer.

use network::LinkState;
use units::Micros;

use crate::frames::{self, ACK, Dhcp, FLAGS, SYN, Segment};
use crate::states::{self, Start};
use crate::world::{CONTROL, Flow, GUEST, Kind, Numbers, PEER, World, reply, syn};

/// The source of an attack's choices.
pub enum Choices<'a> {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    Random(u64),
    /// Bytes; zeros follow the last one.
    Bytes(&'a [u8]),
}

impl Choices<'_> {
    pub fn below(&mut self, bound: u64) -> u64 {
        let bits = match self {
            Self::Random(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut bits = *state;
                bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                bits ^ (bits >> 31)
            }
            Self::Bytes(bytes) => {
                let count = (bound - 1)
                    .checked_ilog2()
                    .map_or(0, |bit| bit as usize / 8 + 1);
                let (taken, rest) = bytes.split_at(count.min(bytes.len()));
                *bytes = rest;
                taken
                    .iter()
                    .fold(0, |bits, &byte| bits << 8 | u64::from(byte))
            }
        };
        bits % bound
    }

    fn is_spent(&self) -> bool {
        matches!(self, Self::Bytes([]))
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

/// Distances from a number that matter: the ends of buffers and windows, and of the half of all numbers that is later.
const DISTANCES: [u32; 21] = [
    0,
    0,
    0,
    1,
    2,
    99,
    255,
    256,
    257,
    599,
    600,
    601,
    1_023,
    1_024,
    1_025,
    8_191,
    8_192,
    8_193,
    65_535,
    0x7fff_ffff,
    0x8000_0000,
];

/// Options of a segment: usual ones, extreme ones, and some whose length is wrong.
const OPTIONS: [&[u8]; 16] = [
    b"",
    b"",
    &[2, 4, 5, 180],
    &[2, 4, 0, 0],
    &[2, 4, 0, 1],
    &[2, 4, 255, 255],
    &[2, 3, 1, 0],
    &[3, 3, 0],
    &[3, 3, 14],
    &[3, 3, 255],
    &[4, 2, 3, 3, 7, 2, 4, 5, 180],
    &[5, 10, 0, 0, 0, 1, 0, 0, 0, 0],
    &[
        5, 34, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1,
        1, 1, 1, 1,
    ],
    &[8, 10, 255, 255, 255, 255, 0, 0, 0, 1],
    &[0, 1, 1, 254, 0],
    &[254, 1],
];

/// Returns a segment with numbers in and around the windows of the connection.
fn segment(random: &mut Choices<'_>, flow: Flow, numbers: Numbers) -> Segment {
    let around = |random: &mut Choices<'_>, number: u32| {
        let distance = random.of(&DISTANCES);
        if random.below(2) == 0 {
            number.wrapping_add(distance)
        } else {
            number.wrapping_sub(distance)
        }
    };
    let usual = [ACK, ACK, ACK | 1, ACK | SYN, SYN, ACK | 4, 4];
    let length = random.of(&[0, 0, 0, 1, 99, 256, 600, 1_023, 1_024, 1_025, 1_400]);
    Segment {
        from: flow.1,
        to: flow.0,
        seq: around(random, numbers.expected),
        ack: around(random, numbers.next),
        flags: match random.below(3) {
            0 => random.below(u64::from(FLAGS)) as u16,
            _ => random.of(&usual),
        },
        window: random.of(&[0, 0, 1, 100, 1_024, 64_000, u16::MAX]),
        options: random.of(&OPTIONS).to_vec(),
        payload: vec![random.of(b"xc"); length],
    }
}

/// Returns an answer of a DHCP server with values that no server should send.
pub fn message(random: &mut Choices<'_>, world: &World<'_>) -> Dhcp {
    let last = world.messages.last().map_or(0, |it| it.xid);
    let address = |random: &mut Choices<'_>| {
        let other = random.below(1 << 32) as u32;
        random.of(&[
            GUEST,
            PEER,
            [0; 4].into(),
            [255; 4].into(),
            [10, 0, 2, 255].into(),
            other.into(),
        ])
    };
    let mut options = Vec::new();
    for _ in 0..random.below(6) {
        let kind = random.of(&[1, 3, 6, 50, 51, 53, 54, 55, 57, 58, 59, 61, 0, 255]);
        let value = match random.below(4) {
            0 => random.bytes(20),
            1 => random
                .of(&[0u32, 1, 2, 59, 60, 61, 600, u32::MAX - 1, u32::MAX])
                .to_be_bytes()
                .to_vec(),
            2 => vec![255, 255, 255, random.of(&[0, 1, 128, 252, 254, 255])],
            _ => address(random).octets().to_vec(),
        };
        options.extend([kind, value.len() as u8]);
        options.extend(value);
    }
    if random.below(4) != 0 {
        let seconds = random.of(&[0, 1, 2, 60, 61, 600, u32::MAX]);
        options.splice(0..0, states::options(seconds));
    }
    if random.below(8) == 0 {
        options.truncate(random.below(options.len() as u64 + 1) as usize);
    }
    Dhcp {
        kind: random.of(&[0, 1, 2, 2, 3, 4, 5, 5, 5, 6, 6, 7, 8, 255]),
        xid: if random.below(8) == 0 {
            random.below(1 << 32) as u32
        } else {
            last
        },
        address: address(random),
        server: address(random),
        options,
    }
}

/// Returns a frame of the attacker.
fn frame(random: &mut Choices<'_>, world: &World<'_>, flow: Flow, kind: Kind) -> Vec<u8> {
    let numbers = world.flows.get(&flow).copied();
    let numbers = numbers.unwrap_or(Numbers {
        next: 0,
        expected: 1_001,
    });
    let of_dhcp = kind == Kind::Dhcp && random.below(3) != 0;
    let mut frame = match random.below(10) {
        _ if of_dhcp => message(random, world).frame(),
        0 => frames::datagram(
            (PEER, random.of(&[67, 8_094])),
            (GUEST, random.of(&[9, 68])),
            &random.bytes(300),
        ),
        1 => {
            // ICMP, and protocols that nobody knows.
            let mut payload = random.bytes(100);
            if let Some(first) = payload.first_mut() {
                *first = random.of(&[0, 3, 8, 11]);
            }
            frames::packet(random.of(&[1, 1, 1, 2, 47]), PEER, GUEST, &payload)
        }
        2 => syn(1 + random.below(60_000) as u16).frame(),
        _ => segment(random, flow, numbers).frame(),
    };
    if random.below(6) == 0 {
        for _ in 0..=random.below(3) {
            let place = random.below(frame.len() as u64) as usize;
            frame[place] = random.below(256) as u8;
        }
        frame.truncate(frame.len() - random.of(&[0, 0, 0, 1, 20]));
        frames::mend(&mut frame);
    }
    frame
}

/// What was forged may have ended connections, but the stack serves the next ones and does not keep talking.
pub fn survives(world: &mut World<'_>, kind: Kind) {
    (world.echo.deaf, world.echo.stays, world.answers) = (false, false, true);
    let before = (world.segments.len(), world.messages.len());
    world.pass(Micros::from_secs(200));
    let segments = world.segments.len() - before.0;
    assert!(
        segments < 400,
        "{segments} segments in 200 s to a host that is silent"
    );
    let messages = world.messages.len() - before.1;
    assert!(messages < 200, "{messages} DHCP messages in 200 s");
    if kind == Kind::Dhcp {
        // Whoever answers DHCP decides about the address.
        return;
    }
    let flow = (CONTROL, 61_000);
    world.flows.remove(&flow);
    world.connect(61_000);
    world.segments.clear();
    world.speak(flow, ACK, b"hello");
    let answer = world.segments.iter().find(|it| !it.payload.is_empty());
    assert_eq!(answer.map(|it| &*it.payload), Some(&b"hello"[..]));
    if matches!(kind, Kind::Tcp | Kind::Alone) {
        world.link(|link| link.abort());
        let flow = world.dial().expect("a SYN");
        let numbers = Numbers {
            expected: 7_000,
            ..world.flows[&flow]
        };
        world.take(reply(flow, numbers, ACK | SYN, b"").frame());
        assert_eq!(world.link(|link| link.state()), LinkState::Open);
    }
}

/// Forges frames in this state, and fails if the stack does not survive them.
pub fn attack(start: &Start, mut random: Choices<'_>) {
    start.with(|world, flow| {
        for _ in 0..=random.below(8) {
            if random.is_spent() {
                break;
            }
            for _ in 0..=random.below(3) {
                let frame = frame(&mut random, world, flow, start.kind);
                world.card.arrived.push_back(frame);
            }
            if random.below(3) == 0 {
                world.jam();
            }
            world.settle();
            if random.below(3) == 0 {
                let pause = random.of(&[1, 10, 1_000, 12_000, 61_000]);
                world.pass(Micros::from_millis(pause));
            }
        }
        survives(world, start.kind);
    });
}

/// An attack of a fuzzer: the first byte is the state, those after it choose the frames. Returns `false` if there is no
/// such state.
pub fn chosen(bytes: &[u8]) -> bool {
    let Some((&state, choices)) = bytes.split_first() else {
        return false;
    };
    let start = states::all().nth(state.into());
    start
        .inspect(|start| attack(start, Choices::Bytes(choices)))
        .is_some()
}
