//! Frames that an attacker on the link forges, in every state of every socket of the stack.
//!
//! smoltcp is compiled with debug assertions and overflow checks, so a number that leaves its range is a failure here.

mod frames;
mod states;
mod world;

use network::LinkState;
use units::Micros;

use crate::frames::{ACK, Dhcp, FLAGS, SYN, Segment};
use crate::states::Start;
use crate::world::{CONTROL, Flow, GUEST, HERE, Kind, Numbers, PEER, World, reply, syn, with};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
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
fn segment(random: &mut Random, flow: Flow, numbers: Numbers) -> Segment {
    let around = |random: &mut Random, number: u32| {
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
fn message(random: &mut Random, world: &World<'_>) -> Dhcp {
    let last = world.messages.last().map_or(0, |it| it.xid);
    let address = |random: &mut Random| {
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
fn frame(random: &mut Random, world: &World<'_>, flow: Flow, kind: Kind) -> Vec<u8> {
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
fn survives(world: &mut World<'_>, kind: Kind) {
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

#[test]
fn every_combination_of_flags_in_every_state_ends_nothing() {
    for start in states::all() {
        // URG is ignored.
        for flags in 0..32 {
            for (seq, ack, window) in [(0, 0, 0), (0, 0, 64_000), (1, 1, 0), (1_024, 1, 9)] {
                start.with(|world, flow| {
                    let numbers = world.flows.get(&flow).copied().unwrap_or_default();
                    let forged = Segment {
                        seq: numbers.expected.wrapping_add(seq),
                        ack: numbers.next.wrapping_add(ack),
                        window,
                        ..reply(flow, numbers, flags, if seq == 1 { b"c" } else { b"" })
                    };
                    println!("{}: {forged:?}", start.name);
                    world.card.arrived.push_back(forged.frame());
                    world.jam();
                    world.pass(Micros::from_secs(3));
                });
            }
        }
    }
}

/// The number of attacks of one state: a second or two's worth of all, or as many as `STEPS` says.
fn steps() -> u64 {
    std::env::var("STEPS").map_or(25, |count| count.parse().expect("a number"))
}

fn attack(start: &Start, seed: u64) {
    let mut random = Random(seed);
    start.with(|world, flow| {
        for _ in 0..=random.below(8) {
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

#[test]
fn forged_frames_in_every_state_end_nothing() {
    let first = std::env::var("SEED").map_or(0, |seed| seed.parse().expect("a number"));
    for start in states::all() {
        for seed in first..first + steps() {
            println!("{}: SEED={seed}", start.name);
            attack(start, seed);
        }
    }
}

#[test]
fn dhcp_answers_of_who_has_not_seen_the_question_change_nothing() {
    for start in states::dhcp() {
        let mut random = Random(1);
        start.with(|world, _| {
            let (gained, asked) = (world.gained, world.messages.len());
            for _ in 0..1_000 {
                let mut forged = message(&mut random, world);
                forged.xid =
                    !world.messages.last().expect("a message").xid ^ random.below(9) as u32;
                world.take(forged.frame());
            }
            assert_eq!(
                (world.gained, world.messages.len()),
                (gained, asked),
                "{}",
                start.name
            );
        });
    }
}

/// Returns the time after which the stack repeats an answer that nobody acknowledges, if the handshake before was reset so
/// long ago.
fn repeats_after(idle: Micros) -> Micros {
    let reset = states::all().find(|start| start.name == "a handshake that was reset");
    reset.expect("it is a state").with(|world, _| {
        world.now += idle;
        world.settle();
        let flow = world.connect(HERE + 1);
        world.speak(flow, ACK, b"hello");
        let since = world.now;
        world.segments.clear();
        while !world.segments.iter().any(|it| it.payload == b"hello") {
            assert!(world.now < since + Micros::from_secs(100), "never");
            world.pass(Micros::from_millis(100));
        }
        world.now - since
    })
}

#[test]
fn a_handshake_that_was_reset_leaves_no_round_trip_time_behind() {
    let day = 24 * 3_600;
    for idle in [0, 3_600, day, 30 * day, 300 * day] {
        let after = repeats_after(Micros::from_secs(idle));
        // RFC 6298, section 2: at least a second. The round trip took no time.
        assert!(
            after <= Micros::from_millis(1_200),
            "after {idle} s: {after}"
        );
    }
}

#[test]
fn a_peer_that_acknowledges_our_fin_with_a_closed_window_is_not_flooded() {
    let probing = states::all().filter(|start| start.name.ends_with("window probes"));
    let mut count = 0;
    for start in probing {
        start.with(|world, flow| {
            let last = Segment {
                window: 0,
                ..reply(flow, world.flows[&flow], ACK, b"")
            };
            world.take(last.frame());
            world.segments.clear();
            world.pass(Micros::from_secs(4));
            assert_eq!(world.segments, [], "{}", start.name);
        });
        count += 1;
    }
    assert_eq!(count, 2);
}

#[test]
fn the_same_number_of_smoltcp_leaves_as_another_one_for_each_peer() {
    // With the same key smoltcp draws the same first number, whoever is the first peer.
    let numbers: Vec<u32> = (0..256)
        .map(|peer| {
            with(Kind::Udp, |world| {
                world.take(syn(HERE + peer).frame());
                let answer = world.segments.iter().find(|it| it.has(SYN));
                answer.expect("SYN and ACK").seq
            })
        })
        .collect();
    let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len());
    for bit in 0..32 {
        let set = numbers.iter().filter(|&number| number >> bit & 1 != 0);
        // Six standard errors of 8 about 128.
        let set = set.count();
        assert!(
            (80..=176).contains(&set),
            "bit {bit} is set in {set} of 256"
        );
    }
}
