//! Lines in datagrams: whole lines only, one datagram in flight.
//!
//! ```text
//!          1 lines wait and the address is up
//!   Idle ────────────────────────────────────▶ Handed over
//!     ▲  2 it left: its lines are sent              │
//!     ├─────────────────────────────────────────────┤
//!     └─────────────────────────────────────────────┘
//!        3 the address is gone: taken back, its lines stay
//! ```
//!
//! A datagram that waits for an ARP reply, a route or room in the device stays handed over, and later lines wait. If
//! the queue overflows meanwhile, it drops and counts its oldest lines (see [`outbox`](super::outbox)). Nobody knows
//! what happens to a datagram after it has left: UDP has no acknowledgement.

use super::outbox::Outbox;
use super::stream::Datagrams;

/// The state of the emitter over datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DatagramPush {
    /// No datagram is in flight.
    #[default]
    Idle,
    /// A datagram is in flight.
    HandedOver,
}

impl DatagramPush {
    /// Sends at most one datagram. `up`: the interface has an address. Cost: one copy of the datagram.
    pub fn turn(&mut self, up: bool, socket: &mut impl Datagrams, outbox: &mut Outbox<'_>) {
        if *self == Self::HandedOver {
            if !socket.pending() {
                // 2
                outbox.counts.datagrams_sent += 1;
                while !outbox.on_the_way.is_empty() {
                    outbox.sent();
                }
                *self = Self::Idle;
            } else if !up {
                // 3. smoltcp would discard the datagram and report success.
                socket.cancel();
                *self = Self::Idle;
            }
        }
        if *self == Self::Idle && up {
            fill(outbox, socket.limit());
            let (first, second) = outbox.on_the_way.tail(0);
            if !first.is_empty() && socket.send(first, second) {
                // 1
                *self = Self::HandedOver;
            }
        }
    }
}

/// Moves waiting lines, oldest first, to the datagram as long as they fit.
fn fill(outbox: &mut Outbox<'_>, limit: usize) {
    while let Some(len) = outbox.waiting.front_len() {
        if len > limit {
            outbox.waiting.pop();
            outbox.counts.lost_too_long += 1;
        } else if outbox.on_the_way.len() + len > limit
            || outbox.waiting.move_front(&mut outbox.on_the_way).is_err()
        {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::bounds::{DATAGRAM_MAX, ON_THE_WAY_BYTES, QUEUE_BYTES};
    use super::*;

    #[derive(Default)]
    struct Fake {
        pending: Option<Vec<u8>>,
        left: Vec<Vec<u8>>,
        limit: usize,
    }

    impl Datagrams for Fake {
        fn limit(&self) -> usize {
            self.limit
        }
        fn pending(&self) -> bool {
            self.pending.is_some()
        }
        fn send(&mut self, first: &[u8], second: &[u8]) -> bool {
            assert!(self.pending.is_none(), "one at a time");
            self.pending = Some([first, second].concat());
            true
        }
        fn cancel(&mut self) {
            self.pending = None;
        }
    }

    fn memory() -> [Vec<u8>; 2] {
        [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]]
    }

    #[test]
    fn lines_are_packed_whole_into_datagrams_in_order() {
        let mut memory = memory();
        let [waiting, on_the_way] = &mut memory;
        let mut outbox = Outbox::new(waiting, on_the_way);
        let mut expected = Vec::new();
        for number in 0..200 {
            let line = format!("m v={}i\n", "7".repeat(number * 37 % 400 + 1));
            outbox.push(line.as_bytes());
            expected.extend(line.into_bytes());
        }
        let mut push = DatagramPush::Idle;
        let mut fake = Fake {
            limit: DATAGRAM_MAX,
            ..Fake::default()
        };
        while outbox.lines_waiting() > 0 {
            push.turn(true, &mut fake, &mut outbox);
            fake.left.extend(fake.pending.take());
        }
        assert_eq!(fake.left.concat(), expected);
        for pair in fake.left.windows(2) {
            assert!(pair[0].len() <= DATAGRAM_MAX);
            let next_line = pair[1]
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(0, |at| at + 1);
            assert!(
                pair[0].len() + next_line > DATAGRAM_MAX,
                "the next line would have fitted"
            );
            assert!(pair[0].ends_with(b"\n"));
        }
        let counts = outbox.counts();
        assert_eq!((counts.lines_sent, counts.lines_lost()), (200, 0));
        assert_eq!(counts.datagrams_sent, fake.left.len() as u64);
        assert_eq!(counts.bytes_sent, expected.len() as u64);
    }

    #[test]
    fn a_lost_address_takes_the_datagram_back_and_nothing_is_lost() {
        let mut memory = memory();
        let [waiting, on_the_way] = &mut memory;
        let mut outbox = Outbox::new(waiting, on_the_way);
        outbox.push(b"a v=1i\n");
        let mut push = DatagramPush::Idle;
        let mut fake = Fake {
            limit: DATAGRAM_MAX,
            ..Fake::default()
        };
        push.turn(false, &mut fake, &mut outbox);
        assert_eq!(
            fake.pending, None,
            "nothing is handed over without an address"
        );
        push.turn(true, &mut fake, &mut outbox);
        push.turn(false, &mut fake, &mut outbox);
        assert_eq!((fake.pending.take(), outbox.lines_waiting()), (None, 1));
        outbox.push(b"b v=1i\n");
        push.turn(true, &mut fake, &mut outbox);
        assert_eq!(
            fake.pending.take().as_deref(),
            Some(&b"a v=1i\nb v=1i\n"[..])
        );
        push.turn(true, &mut fake, &mut outbox);
        assert_eq!((outbox.counts().lines_sent, outbox.lines_waiting()), (2, 0));
    }

    #[test]
    fn a_line_longer_than_the_devices_datagram_is_counted_and_the_next_goes() {
        let mut memory = memory();
        let [waiting, on_the_way] = &mut memory;
        let mut outbox = Outbox::new(waiting, on_the_way);
        outbox.push(b"too_long v=1i\n");
        outbox.push(b"a v=1i\n");
        let mut push = DatagramPush::Idle;
        let mut fake = Fake {
            limit: 10,
            ..Fake::default()
        };
        push.turn(true, &mut fake, &mut outbox);
        assert_eq!(fake.pending.take().as_deref(), Some(&b"a v=1i\n"[..]));
        assert_eq!(outbox.counts().lost_too_long, 1);
    }
}
