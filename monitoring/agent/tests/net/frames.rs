//! Invalid frames, floods of frames, and the work that they cause.

use agent::monitor::Next;
use network::bounds::{FRAMES_PER_ROUND, ROUNDS_PER_TURN};
use proptest::prelude::*;
use smoltcp::wire::{EthernetFrame, Ipv4Packet};
use units::Micros;

use crate::lan::{Lan, METRICS, config};

#[test]
fn one_turn_takes_a_bounded_number_of_frames() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "10s"));
    lan.run_now();
    let bound = FRAMES_PER_ROUND * ROUNDS_PER_TURN;
    lan.nic
        .arrived
        .extend(core::iter::repeat_n(vec![0xff; 60], 10 * bound));
    for turn in 1..=10 {
        assert_eq!(lan.turn(), Next::Again, "more is waiting");
        assert_eq!(lan.nic.arrived.len(), (10 - turn) * bound);
    }
    assert!(matches!(lan.turn(), Next::At(_)));
}

/// Frames of a real conversation: a connection to the control port, metrics over TCP, ARP.
fn conversation() -> Vec<Vec<u8>> {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.tcp(4096);
    lan.peer.listen(receiver);
    let client = lan.peer.tcp(4096);
    let mut frames = Vec::new();
    lan.peer.connect(client);
    for step in 0..200 {
        lan.turn();
        lan.peer.nic.arrived.append(&mut lan.nic.sent);
        let now = smoltcp::time::Instant::from_micros(lan.now.0 as i64);
        lan.peer
            .interface
            .poll(now, &mut lan.peer.nic, &mut lan.peer.sockets);
        frames.extend(lan.peer.nic.sent.iter().cloned());
        lan.nic.arrived.append(&mut lan.peer.nic.sent);
        match step {
            50 => lan.peer.send(client, b"s\n?\n"),
            100 => lan.peer.get(client).close(),
            _ => {}
        }
        lan.now += Micros::from_millis(50);
    }
    assert!(frames.len() > 10, "{}", frames.len());
    frames
}

/// Corrects the checksums of a changed packet, so that more code than the checksum test sees it.
fn mend(frame: &mut [u8]) {
    let Ok(mut ethernet) = EthernetFrame::new_checked(frame) else {
        return;
    };
    if let Ok(mut packet) = Ipv4Packet::new_checked(ethernet.payload_mut()) {
        packet.fill_checksum();
        let (src, dst) = (packet.src_addr().into(), packet.dst_addr().into());
        let payload = packet.payload_mut();
        if let Ok(mut tcp) = smoltcp::wire::TcpPacket::new_checked(payload) {
            tcp.fill_checksum(&src, &dst);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn noise_and_mangled_frames_end_nothing(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..20),
        mangled in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..300),
    ) {
        let frames = conversation();
        let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
        lan.turn();
        for (which, place, value) in mangled {
            let mut frame = which.get(&frames).clone();
            let place = place.index(frame.len());
            frame[place] = value;
            mend(&mut frame);
            lan.nic.arrived.push_back(frame);
            lan.turn();
            lan.nic.sent.clear();
            lan.now += Micros::from_millis(7);
        }
        lan.nic.arrived.extend(noise);
        while !lan.nic.arrived.is_empty() {
            lan.turn();
            lan.nic.sent.clear();
        }
        // The stack still works for a valid peer; the state that the mangled frames left behind expires.
        lan.run(Micros::from_secs(60));
        let receiver = lan.peer.tcp(1 << 16);
        lan.peer.listen(receiver);
        lan.run(Micros::from_secs(60));
        prop_assert!(lan.peer.get(receiver).can_recv(), "{}", lan.log());
        let client = lan.peer.tcp(4096);
        lan.peer.connect(client);
        lan.run(Micros::from_secs(5));
        lan.peer.send(client, b"?\n");
        lan.run(Micros::from_secs(5));
        prop_assert_eq!(lan.peer.receive(client), crate::lan::help());
    }
}

#[test]
fn a_syn_from_the_receiver_before_ours_has_left_ends_nothing() {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    // The same seed gives the same ports, so this is the answer to the SYN that the image will send.
    let mut syn = conversation().swap_remove(2);
    lan.turn();
    let flags = 14 + 20 + 13;
    assert_eq!(syn[flags], 0x12, "SYN and ACK");
    syn[flags] = 0x02;
    mend(&mut syn);
    lan.nic.arrived.push_back(syn);
    lan.turn();
    let receiver = lan.peer.tcp(1 << 16);
    lan.peer.listen(receiver);
    lan.run(Micros::from_secs(5));
    assert!(lan.peer.get(receiver).can_recv(), "{}", lan.log());
}

#[test]
fn an_idle_image_wakes_up_once_per_interval() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "10s"));
    lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(10));
    let before = lan.turns;
    lan.run(Micros::from_secs(600));
    let turns = lan.turns - before;
    assert!(
        turns <= 60 * 5,
        "{turns} turns for 60 emissions and 10 ARP requests"
    );
}
