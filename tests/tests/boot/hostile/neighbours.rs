//! Machines on the link that ask for the guest's address, connect to it, and claim addresses of others. Nobody but the receiver
//! answers ARP. No line is lost: lines are counted, time decides nothing.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::thread;

use hermon_machine::qemu::{Machine, Nic};
use tests::DEADLINE;
use tests::boot::{Boot, Running};
use tests::cable::{Arp, BROADCAST, Cable, Packet, Segment};
use tests::metrics::{Intervals, Point, Receive, points};

const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const RECEIVER: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 2), 8094);
const RECEIVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const RIVAL_MAC: [u8; 6] = [2, 0, 0, 0, 0, 66];
const INTERVAL: Duration = Duration::from_millis(250);

/// ARP requests for one SYN, and the pause between two of them: 200 and 20 a second on a quiet host.
const REQUESTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);

/// Intervals and frames of the flood that the guest must have seen.
const SENT: usize = 40;
const FLOOD: i64 = 2_000;

fn boot(cable: &Cable, arguments: &str) -> Running {
    cable.lives_at(*RECEIVER.ip(), RECEIVER_MAC);
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(cable.network()))
        .arguments("--ipv4 10.0.2.15/8 --interval 250ms --workload idle")
        .arguments(arguments)
        .start();
    guest.ready();
    guest
}

/// The receiver of metrics at the cable, by UDP and by TCP.
struct Receiver<'c> {
    cable: &'c Cable,
    /// The number of the next byte of the connection.
    next: u32,
    /// The bytes after the last whole line.
    rest: Vec<u8>,
    lines: VecDeque<Point>,
}

impl<'c> Receiver<'c> {
    fn at(cable: &'c Cable) -> Self {
        let (next, rest, lines) = (0, Vec::new(), VecDeque::new());
        Self {
            cable,
            next,
            rest,
            lines,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.rest.extend(bytes);
        if let Some(end) = self.rest.iter().rposition(|&byte| byte == b'\n') {
            let lines = self.rest.drain(..=end).collect();
            let lines = String::from_utf8(lines).expect("UTF-8");
            self.lines.extend(points(&lines));
        }
    }

    /// Follows a segment of the guest's connection: takes what is next, and acknowledges.
    fn follow(&mut self, from: SocketAddrV4, sequence: u32, syn: bool, payload: &[u8]) {
        let mut answer = Segment::new(RECEIVER, from, 1);
        if syn {
            self.next = sequence.wrapping_add(1);
            answer = Segment::syn(RECEIVER, from, 0);
        } else if payload.is_empty() {
            return;
        } else if sequence == self.next {
            self.next = self
                .next
                .wrapping_add(u32::try_from(payload.len()).expect("short"));
            self.take(payload);
        }
        self.cable.send(&answer.ack(self.next).frame(RECEIVER_MAC));
    }
}

impl Receive for Receiver<'_> {
    fn receive(&mut self) -> Vec<Point> {
        while self.lines.is_empty() {
            let cable = self.cable;
            let came = cable.see(DEADLINE, |packet| match *packet {
                Packet::Udp(datagram) if datagram.to == RECEIVER => {
                    self.take(datagram.payload);
                    Some(())
                }
                Packet::Tcp(segment) if segment.to == RECEIVER => {
                    self.follow(segment.from, segment.sequence, segment.syn, segment.payload);
                    Some(())
                }
                _ => None,
            });
            came.expect("metrics before the deadline");
        }
        self.lines.drain(..).collect()
    }
}

/// Sends requests and SYNs, each from another address, until it is told to stop.
fn flood(send: impl Fn(&[u8]), stop: &AtomicBool) {
    let guest = SocketAddrV4::new(GUEST, 2323);
    for number in 1_u32.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let [_, b, c, d] = number.to_be_bytes();
        let (mac, address) = ([2, 1, 1, b, c, d], Ipv4Addr::new(10, 100 + b, c, d));
        send(&Arp::request(mac, address, GUEST).frame(BROADCAST));
        if number % REQUESTS == 0 {
            let (mac, address) = ([2, 1, 2, b, c, d], Ipv4Addr::new(10, 200 + b, c, d));
            send(&Segment::syn(SocketAddrV4::new(address, 5_000), guest, number).frame(mac));
        }
        thread::sleep(PAUSE);
    }
}

fn nothing_is_lost(arguments: &str) {
    let cable = Cable::open();
    let mut guest = boot(&cable, arguments);
    let mut receiver = Intervals::of(Receiver::at(&cable));
    let stop = AtomicBool::new(false);
    let lines = thread::scope(|scope| {
        let send = cable.sender();
        scope.spawn(|| flood(send, &stop));
        let lines = receiver.gather(|points| {
            let own = points.iter().filter(|it| it.measurement == "monitoring");
            let frames = own.clone().map(|it| it.integer("frames_received"));
            let seen = frames.clone().max()? - frames.min()?;
            (own.count() > SENT && seen >= FLOOD).then(|| points.to_vec())
        });
        stop.store(true, Ordering::Relaxed);
        lines
    });
    receiver.are_accounted_for(INTERVAL);
    let own = lines.iter().rfind(|it| it.measurement == "monitoring");
    let own = own.expect("there are many");
    assert_eq!(own.integer("lines_lost"), 0);
    // The guest counts before it makes the lines of an interval.
    let before = lines.iter().take_while(|it| it.timestamp != own.timestamp);
    let counted = own.integer("lines_sent") + own.integer("lines_waiting");
    assert_eq!(i64::try_from(before.count()).expect("few"), counted);
    assert!(!guest.has_ended());
}

#[test]
fn strangers_keep_no_datagram_from_leaving() {
    nothing_is_lost("--influx udp://10.0.2.2:8094");
}

#[test]
fn strangers_that_may_not_connect_keep_no_datagram_from_leaving() {
    nothing_is_lost("--influx udp://10.0.2.2:8094 --allow 10.0.2.2");
}

#[test]
fn strangers_keep_no_line_from_leaving_by_tcp() {
    nothing_is_lost("--influx tcp://10.0.2.2:8094");
}

#[test]
fn strangers_that_may_not_connect_keep_no_line_from_leaving_by_tcp() {
    nothing_is_lost("--influx tcp://10.0.2.2:8094 --allow 10.0.2.2");
}

#[test]
fn a_claim_to_the_receivers_address_is_told_and_ignored_while_the_receiver_answers() {
    let cable = Cable::open();
    let mut guest = boot(&cable, "--influx udp://10.0.2.2:8094");
    let mut receiver = Receiver::at(&cable);
    receiver.until(|point| point.measurement == "memory");
    let claim = Arp::request(RIVAL_MAC, *RECEIVER.ip(), *RECEIVER.ip());
    cable.send(&claim.frame(BROADCAST));
    guest.wait_for("the host 02:00:00:00:00:42 claims the address 10.0.2.2 of another, conflict 1");
    let own = receiver
        .until(|point| point.measurement == "monitoring" && point.integer("arp_conflicts") == 1);
    assert_eq!(own.integer("lines_lost"), 0);
}

#[test]
fn a_machine_with_the_guests_address_is_told_and_the_guest_defends_it() {
    let cable = Cable::open();
    let mut guest = boot(&cable, "--influx udp://10.0.2.2:8094");
    cable.send(&Arp::request(RIVAL_MAC, GUEST, GUEST).frame(BROADCAST));
    guest
        .wait_for("the host 02:00:00:00:00:42 claims the address 10.0.2.15 of another, conflict 1");
    cable.await_packet("the guest's announcement", |packet| match packet {
        Packet::Arp(arp) => (arp.from == GUEST && arp.to == GUEST).then_some(()),
        _ => None,
    });
    Receiver::at(&cable)
        .until(|point| point.measurement == "monitoring" && point.integer("arp_conflicts") == 1);
}
