//! Frames that an attacker on the link forges, in every state of every socket of the stack.
//!
//! smoltcp is compiled with debug assertions and overflow checks, so a number that leaves its range is a failure here.

mod attack;
mod frames;
mod states;
mod world;

use units::Micros;

use crate::attack::{Choices, attack, chosen, message, survives};
use crate::frames::{ACK, FIN, SYN, Segment};
use crate::world::{HERE, Kind, reply, syn, with};

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

#[test]
fn forged_frames_in_every_state_end_nothing() {
    let first = std::env::var("SEED").map_or(0, |seed| seed.parse().expect("a number"));
    for start in states::all() {
        for seed in first..first + steps() {
            println!("{}: SEED={seed}", start.name);
            attack(start, Choices::Random(seed));
        }
    }
}

#[test]
fn a_segment_from_the_opposite_end_of_all_numbers_ends_nothing() {
    let full = states::all().find(|start| start.name == "open, our window is full");
    full.expect("it is a state").with(|world, flow| {
        let numbers = world.flows[&flow];
        // The FIN is behind the last byte of the window, and its acknowledgment has not left when the next segment comes.
        let fin = reply(flow, numbers, ACK | FIN, b"");
        let far = Segment {
            seq: fin.seq.wrapping_add(1 + i32::MAX as u32),
            ..reply(flow, numbers, ACK, b"")
        };
        world.card.arrived.extend([fin.frame(), far.frame()]);
        world.settle();
        survives(world, Kind::Udp);
    });
}

#[test]
fn attacks_that_the_fuzzer_has_kept_end_nothing() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fuzz/corpus/stack");
    let mut count = 0;
    for file in std::fs::read_dir(folder).expect("the folder") {
        let path = file.expect("a file").path();
        println!("{}", path.display());
        let bytes = std::fs::read(&path).expect("bytes");
        count += usize::from(chosen(&bytes));
    }
    assert!(count > 0);
}

#[test]
fn dhcp_answers_of_who_has_not_seen_the_question_change_nothing() {
    for start in states::dhcp() {
        let mut random = Choices::Random(1);
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
