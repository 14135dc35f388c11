//! The attacks on one machine's cable, and the count of the lines that left it by UDP.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use hermon_machine::application::{CONTROL_PORT, MEMTRACE_PORT};
use hermon_machine::qemu::{GUEST_BY_DHCP, GUEST_MAC, HOST_SEEN_BY_GUEST};
use tests::cable::{Arp, BROADCAST, Cable, Datagram, Packet, Segment};

/// The time between two steps of the attack.
const STEP: Duration = Duration::from_millis(50);

/// The thread that holds the cable.
#[derive(Debug)]
pub(crate) struct Wire {
    lines: Arc<AtomicU64>,
    attacking: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<u64>>,
}

impl Wire {
    /// Attacks the guest, and counts the lines in datagrams to `receiver`.
    pub(crate) fn start(cable: Cable, receiver: u16, seed: u64) -> Self {
        let lines = Arc::new(AtomicU64::new(0));
        let attacking = Arc::new(AtomicBool::new(true));
        let ended = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (lines, attacking, ended) = (lines.clone(), attacking.clone(), ended.clone());
            move || run(&cable, receiver, seed, &lines, &attacking, &ended)
        });
        Self {
            lines,
            attacking,
            ended,
            thread: Some(thread),
        }
    }

    /// Returns the lines that have left the guest by UDP.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Ends the attack. Lines are counted on.
    pub(crate) fn calm(&self) {
        self.attacking.store(false, Ordering::Relaxed);
    }

    /// Ends the thread and returns the number of frames of the attack.
    pub(crate) fn end(&mut self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is ended once");
        thread.join().expect("no panic")
    }
}

fn run(
    cable: &Cable,
    receiver: u16,
    seed: u64,
    lines: &AtomicU64,
    attacking: &AtomicBool,
    ended: &AtomicBool,
) -> u64 {
    let receiver = SocketAddrV4::new(HOST_SEEN_BY_GUEST, receiver);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut sent = 0;
    let mut due = Instant::now();
    while !ended.load(Ordering::Relaxed) {
        let patience = due.saturating_duration_since(Instant::now());
        cable.see(patience, |packet| {
            if let Packet::Udp(Datagram { to, payload, .. }) = packet
                && *to == receiver
            {
                let count = payload.iter().filter(|&&byte| byte == b'\n').count();
                lines.fetch_add(count as u64, Ordering::Relaxed);
            }
            (Instant::now() >= due).then_some(())
        });
        if Instant::now() >= due {
            due = Instant::now() + STEP;
            if attacking.load(Ordering::Relaxed) {
                sent += attack(cable, &mut random);
            }
        }
    }
    sent
}

/// Sends one step of the attack: a stranger's ARP request; now and then a SYN from an address that answers no ARP, a forged segment
/// of somebody's connection, and noise. Returns the number of frames.
fn attack(cable: &Cable, random: &mut fastrand::Rng) -> u64 {
    let stranger = Ipv4Addr::new(10, 0, 2, random.u8(100..=250));
    let mac = [2, 0, 0, 1, 0, stranger.octets()[3]];
    let client = random.u16(1024..);
    let from = |address| SocketAddrV4::new(address, client);
    let port = random
        .choice([CONTROL_PORT, MEMTRACE_PORT])
        .expect("one of two");
    let to = SocketAddrV4::new(GUEST_BY_DHCP, port);
    cable.send(&Arp::request(mac, stranger, GUEST_BY_DHCP).frame(BROADCAST));
    let mut sent = 1;
    if random.u8(..4) == 0 {
        cable.send(&Segment::syn(from(stranger), to, random.u32(..)).frame(mac));
        sent += 1;
    }
    if random.u8(..4) == 0 {
        let forged = Segment {
            acknowledgment: random.bool().then(|| random.u32(..)),
            syn: random.bool(),
            fin: random.bool(),
            rst: random.bool(),
            window: random.u16(..),
            ..Segment::new(from(HOST_SEEN_BY_GUEST), to, random.u32(..))
        };
        // The gateway's own address, with a hardware address of the attacker.
        cable.send(&forged.frame(mac));
        sent += 1;
    }
    if random.u8(..20) == 0 {
        let mut noise = [GUEST_MAC, mac].concat();
        noise.extend(
            random
                .choice([[8, 0], [8, 6], [0x86, 0xdd]])
                .expect("one of three"),
        );
        noise.extend((0..random.usize(..1_400)).map(|_| random.u8(..)));
        cable.send(&noise);
        sent += 1;
    }
    sent
}
