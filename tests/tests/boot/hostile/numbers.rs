//! Numbers that a host must not be able to guess: sequence numbers and DHCP's transaction numbers, over two boots.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::collections::BTreeSet;

use hermon_machine::application::CONTROL_PORT;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::{Boot, Running};
use tests::cable::{Cable, Packet, Segment};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 50];
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 50);

/// Connections of one boot.
const CONNECTIONS: u16 = 128;

/// Boots with a processor that has no random numbers of its own, on a cable without other hosts.
fn boot(cable: &Cable, arguments: &str) -> Running {
    Boot::new(Machine::Q35)
        .cpu("Nehalem")
        .nic(Nic::Default(cable.network()))
        .arguments("--workload idle")
        .arguments(arguments)
        .start()
}

/// Fails if a number appears twice, or a bit is set much more or less often than it would be by chance.
fn judge(what: &str, numbers: &[u32]) {
    let distinct: BTreeSet<_> = numbers.iter().collect();
    assert_eq!(distinct.len(), numbers.len(), "{what}: {numbers:x?}");
    let mean = numbers.len() as f64 / 2.0;
    for bit in 0..32 {
        let set = numbers.iter().filter(|&number| number >> bit & 1 != 0);
        let errors = (set.count() as f64 - mean) / (mean / 2.0).sqrt();
        assert!(
            errors.abs() < 6.0,
            "{what}: bit {bit} by {errors} standard errors"
        );
    }
}

fn differences(numbers: &[u32]) -> Vec<u32> {
    let pairs = numbers.windows(2);
    pairs.map(|pair| pair[1].wrapping_sub(pair[0])).collect()
}

/// Opens connections one after the other, from the same ports in each boot. Returns the guest's first sequence numbers.
fn sequence_numbers() -> Vec<u32> {
    let cable = Cable::open();
    let mut guest = boot(&cable, "--ipv4 10.0.2.15/24");
    guest.ready();
    let to = SocketAddrV4::new(GUEST, CONTROL_PORT);
    let open = |number: u16| {
        let from = SocketAddrV4::new(HOST, 40_000 + number);
        let sequence =
            cable.until_answered(
                &Segment::syn(from, to, 7).frame(MAC),
                |packet| match packet {
                    Packet::Tcp(segment) if segment.to == from && segment.syn => {
                        Some(segment.sequence)
                    }
                    _ => None,
                },
            );
        let mut reset = Segment::new(from, to, 8);
        reset.rst = true;
        cable.send(&reset.frame(MAC));
        sequence
    };
    (0..CONNECTIONS).map(open).collect()
}

#[test]
fn sequence_numbers_of_two_boots_have_nothing_in_common() {
    let boots = [sequence_numbers(), sequence_numbers()];
    for numbers in &boots {
        judge("numbers", numbers);
        judge("differences", &differences(numbers));
    }
    let between = boots[0].iter().zip(&boots[1]);
    let between: Vec<_> = between.map(|(one, two)| two.wrapping_sub(*one)).collect();
    judge("between the boots", &between);
    judge("both boots", &boots.concat());
}

/// Returns the transaction numbers of the first questions of a guest that no DHCP server answers.
fn transaction_numbers() -> BTreeSet<[u8; 4]> {
    let cable = Cable::open();
    let _guest = boot(&cable, "");
    let mut numbers = BTreeSet::new();
    while numbers.len() < 3 {
        numbers.insert(cable.await_packet("a DHCP message", |packet| match packet {
            Packet::Udp(datagram) if datagram.to.port() == 67 => {
                Some(datagram.payload[4..8].try_into().expect("four bytes"))
            }
            _ => None,
        }));
    }
    numbers
}

#[test]
fn transaction_numbers_of_two_boots_have_nothing_in_common() {
    let boots = [transaction_numbers(), transaction_numbers()];
    assert!(boots[0].is_disjoint(&boots[1]), "{boots:x?}");
    for numbers in boots {
        let numbers: Vec<_> = numbers.into_iter().map(u32::from_be_bytes).collect();
        for step in differences(&numbers) {
            assert!(step > 255, "{numbers:x?}");
        }
    }
}
