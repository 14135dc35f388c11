//! Hardware addresses of the hosts on the link: who is asked, who keeps a place, and who is believed.
//!
//! smoltcp 0.14 has one cache of eight places for all hosts, evicts the one that was silent longest, and asks one
//! question a second for all addresses (`src/iface/neighbor.rs`). So strangers evict the receiver of metrics, which
//! never speaks, and a peer that does not answer stops the questions for all others. Here:
//!
//! * **Fixed places** for the gateway, the receiver and the DHCP server. Nobody takes them, and each asks for itself.
//! * **Clients** are not asked for: the hardware address comes with the packet that is answered. The place of a client
//!   with an open connection is not given to another; there are more places than connections.
//! * Requests of strangers for our address are answered and take no place.
//! * An ARP packet that contradicts a fixed place is not believed. The known host is asked, and only when it does not
//!   answer, everybody is.
//!
//! ```text
//!              1 somebody answers                 2 FRESH is over, or a contradiction
//!   ┌────────┐ ──────────────────▶ ┌───────┐ ─────────────────────────────────────────▶ ┌─────────┐
//!   │ Asking │                     │ Known │                                            │ Probing │
//!   └────────┘                     └───────┘ ◀───────────────────────────────────────── └─────────┘
//!       ▲                                       3 the known host answers, or sends             │
//!       └──────────────────────────────────────────────────────────────────────────────────────┘
//!                                  4 PROBES questions without an answer
//! ```

use core::net::Ipv4Addr;

use smoltcp::wire::EthernetAddress;

use crate::address::Cidr;
use crate::bounds::{ARP_DEFEND, ARP_EVERY, ARP_FRESH, ARP_PROBES, CLIENTS};
use units::Micros;

/// A fixed place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Gateway,
    Receiver,
    DhcpServer,
}

const ROLES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Everybody is asked. There is no hardware address.
    Asking { next: Micros },
    /// The host has answered or sent something.
    Known {
        mac: EthernetAddress,
        /// The time of the next question.
        until: Micros,
        /// The time before which a contradiction asks nothing again.
        calm: Micros,
    },
    /// The known host is asked. Its hardware address is still used.
    Probing {
        mac: EthernetAddress,
        left: u8,
        next: Micros,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    address: Ipv4Addr,
    state: State,
}

#[derive(Clone, Copy, Debug)]
struct Client {
    address: Ipv4Addr,
    mac: EthernetAddress,
    seen: Micros,
    /// `true` while a connection is open to it.
    in_use: bool,
}

/// A question or an announcement that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// The hardware address that it is sent to.
    pub to: EthernetAddress,
    /// The address that is asked for; our own in an announcement.
    pub target: Ipv4Addr,
}

/// An ARP packet that contradicts what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address that two hosts claim.
    pub address: Ipv4Addr,
    /// The hardware address that is new.
    pub mac: [u8; 6],
    /// Such packets since boot, including this one.
    pub conflicts: u64,
}

/// The hosts on the link.
#[derive(Debug)]
pub(super) struct Neighbours {
    mac: EthernetAddress,
    own: Option<Cidr>,
    places: [Option<Place>; ROLES],
    clients: [Option<Client>; CLIENTS],
    conflicts: u64,
    last_conflict: Option<Conflict>,
    /// The time from which our address may be defended again.
    defend_after: Micros,
    defend: bool,
}

impl Neighbours {
    /// Creates a table without hosts, for the interface with this hardware address.
    pub(super) const fn new(mac: EthernetAddress) -> Self {
        Self {
            mac,
            own: None,
            places: [None; ROLES],
            clients: [None; CLIENTS],
            conflicts: 0,
            last_conflict: None,
            defend_after: Micros::ZERO,
            defend: false,
        }
    }

    /// Sets our address. All that was known about the link is forgotten.
    pub(super) fn set_own(&mut self, own: Option<Cidr>) {
        self.own = own;
        self.places = [None; ROLES];
        self.clients = [None; CLIENTS];
        self.defend = false;
    }

    /// Returns our address.
    pub(super) fn own(&self) -> Option<Ipv4Addr> {
        self.own.map(Cidr::address)
    }

    /// Returns the interface's hardware address.
    pub(super) const fn mac(&self) -> EthernetAddress {
        self.mac
    }

    /// Gives a host its fixed place, and asks for it at once.
    pub(super) fn expect(&mut self, role: Role, address: Ipv4Addr, now: Micros) {
        let known = self
            .places
            .iter()
            .flatten()
            .find(|place| place.address == address);
        let state = known.map_or(State::Asking { next: now }, |place| place.state);
        self.places[role as usize] = Some(Place { address, state });
    }

    /// Returns `true` if `address` is on the link.
    pub(super) fn is_on_link(&self, address: Ipv4Addr) -> bool {
        self.own.is_some_and(|own| own.contains(address))
    }

    /// Returns `true` if `address` is the broadcast address of our network.
    pub(super) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast()
            || self.own.is_some_and(|own| {
                own.prefix() < 31
                    && own.contains(address)
                    && u32::from(address) | (u32::MAX << (32 - own.prefix())) == u32::MAX
            })
    }

    /// Returns the hardware address to which a packet for `address` is sent, if it is known.
    pub(super) fn hop(&self, address: Ipv4Addr) -> Option<EthernetAddress> {
        let hop = if self.is_on_link(address) {
            address
        } else {
            self.places[Role::Gateway as usize]?.address
        };
        if let Some(place) = self
            .places
            .iter()
            .flatten()
            .find(|place| place.address == hop)
        {
            return match place.state {
                State::Asking { .. } => None,
                State::Known { mac, .. } | State::Probing { mac, .. } => Some(mac),
            };
        }
        let client = self
            .clients
            .iter()
            .flatten()
            .find(|client| client.address == hop);
        client.map(|client| client.mac)
    }

    /// Tells which clients have an open connection.
    pub(super) fn keep(&mut self, in_use: impl Fn(Ipv4Addr) -> bool) {
        for client in self.clients.iter_mut().flatten() {
            client.in_use = in_use(client.address);
        }
    }

    /// Takes the sender of a packet to us, whose hardware address is that of the frame.
    pub(super) fn meet(&mut self, address: Ipv4Addr, mac: EthernetAddress, now: Micros) {
        if !self.is_on_link(address) {
            return;
        }
        let mut is_fixed = false;
        for place in self.places.iter_mut().flatten() {
            if place.address == address {
                is_fixed = true;
                match place.state {
                    State::Known { mac: known, .. } | State::Probing { mac: known, .. }
                        if known == mac =>
                    {
                        place.state = fresh(mac, now); // 3
                    }
                    _ => {}
                }
            }
        }
        if is_fixed {
            return;
        }
        let met = Client {
            address,
            mac,
            seen: now,
            in_use: false,
        };
        let known = |client: &Option<Client>| client.is_some_and(|it| it.address == address);
        if let Some(Some(client)) = self.clients.iter_mut().find(|client| known(client)) {
            *client = Client {
                in_use: client.in_use,
                ..met
            };
            return;
        }
        let free = self
            .clients
            .iter_mut()
            .filter(|client| !client.is_some_and(|it| it.in_use));
        // An empty place first, then the one that was silent longest.
        if let Some(place) = free.min_by_key(|client| client.map(|it| it.seen)) {
            *place = Some(met);
        }
    }

    /// Takes the sender of an ARP packet.
    pub(super) fn hear(&mut self, address: Ipv4Addr, mac: EthernetAddress, now: Micros) {
        if !mac.is_unicast() {
            return;
        }
        if Some(address) == self.own() {
            if mac != self.mac {
                self.note_conflict(address, mac);
                if now >= self.defend_after {
                    self.defend_after = now + ARP_DEFEND;
                    self.defend = true;
                }
            }
            return;
        }
        let mut contradicts = false;
        for place in self.places.iter_mut().flatten() {
            if place.address != address {
                continue;
            }
            match place.state {
                State::Asking { .. } => place.state = fresh(mac, now), // 1
                State::Known { mac: known, .. } | State::Probing { mac: known, .. }
                    if known == mac =>
                {
                    place.state = fresh(mac, now); // 3
                }
                State::Known {
                    mac: known, calm, ..
                } => {
                    contradicts = true;
                    if now >= calm {
                        place.state = probing(known, now); // 2
                    }
                }
                State::Probing { .. } => contradicts = true,
            }
        }
        if contradicts {
            self.note_conflict(address, mac);
        }
    }

    fn note_conflict(&mut self, address: Ipv4Addr, mac: EthernetAddress) {
        self.conflicts += 1;
        self.last_conflict = Some(Conflict {
            address,
            mac: mac.0,
            conflicts: self.conflicts,
        });
    }

    /// Returns the number of ARP packets that contradicted what is known.
    pub(super) const fn conflicts(&self) -> u64 {
        self.conflicts
    }

    /// Returns the last contradiction, once.
    pub(super) fn conflict(&mut self) -> Option<Conflict> {
        self.last_conflict.take()
    }

    /// Returns a question that is due, and counts it as asked.
    pub(super) fn question(&mut self, now: Micros) -> Option<Question> {
        let own = self.own()?;
        if core::mem::take(&mut self.defend) {
            return Some(Question {
                to: EthernetAddress::BROADCAST,
                target: own,
            });
        }
        for place in self.places.iter_mut().flatten() {
            let target = place.address;
            match &mut place.state {
                State::Asking { next } if now >= *next => {
                    *next = now + ARP_EVERY;
                    let to = EthernetAddress::BROADCAST;
                    return Some(Question { to, target });
                }
                State::Known { mac, until, .. } if now >= *until => {
                    place.state = probing(*mac, now); // 2
                }
                _ => {}
            }
            if let State::Probing { mac, left, next } = &mut place.state
                && now >= *next
            {
                if let Some(rest) = left.checked_sub(1) {
                    (*left, *next) = (rest, now + ARP_EVERY);
                    let to = *mac;
                    return Some(Question { to, target });
                }
                // 4
                let next = now + ARP_EVERY;
                place.state = State::Asking { next };
                let to = EthernetAddress::BROADCAST;
                return Some(Question { to, target });
            }
        }
        None
    }

    /// Returns the time of the next question.
    pub(super) fn next(&self) -> Option<Micros> {
        self.own?;
        if self.defend {
            return Some(Micros::ZERO);
        }
        let due = |place: &Place| match place.state {
            State::Asking { next } | State::Probing { next, .. } => next,
            State::Known { until, .. } => until,
        };
        self.places.iter().flatten().map(due).min()
    }
}

fn fresh(mac: EthernetAddress, now: Micros) -> State {
    State::Known {
        mac,
        until: now + ARP_FRESH,
        calm: now + ARP_EVERY,
    }
}

fn probing(mac: EthernetAddress, now: Micros) -> State {
    State::Probing {
        mac,
        left: ARP_PROBES,
        next: now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
    const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

    fn mac(last: u8) -> EthernetAddress {
        EthernetAddress([2, 0, 0, 0, 0, last])
    }

    fn table() -> Neighbours {
        let mut table = Neighbours::new(mac(0));
        table.set_own(Cidr::new(OWN, 24));
        table.expect(Role::Gateway, GATEWAY, Micros::ZERO);
        table
    }

    fn seconds(seconds: u64) -> Micros {
        Micros::from_secs(seconds)
    }

    #[test]
    fn a_fixed_host_is_asked_each_second_until_it_answers_and_is_then_the_hop_of_all_far_ones() {
        let mut table = table();
        for second in 0..5 {
            let question = table.question(seconds(second)).expect("one a second");
            assert_eq!(
                (question.to, question.target),
                (EthernetAddress::BROADCAST, GATEWAY)
            );
            assert_eq!(table.question(seconds(second)), None);
            assert_eq!(table.next(), Some(seconds(second + 1)));
        }
        assert_eq!(table.hop(FAR), None);
        table.hear(GATEWAY, mac(2), seconds(5));
        assert_eq!(table.hop(FAR), Some(mac(2)));
        assert_eq!(table.hop(GATEWAY), Some(mac(2)));
        assert_eq!(table.question(seconds(6)), None);
    }

    #[test]
    fn strangers_take_no_fixed_place_and_evict_no_client_with_a_connection() {
        let mut table = table();
        table.hear(GATEWAY, mac(2), Micros::ZERO);
        let client = Ipv4Addr::new(10, 0, 2, 77);
        table.meet(client, mac(77), Micros::ZERO);
        for number in 0..200 {
            table.keep(|address| address == client);
            let stranger = Ipv4Addr::new(10, 0, 2, 100 + (number % 100) as u8);
            table.hear(stranger, mac(9), Micros(number));
            table.meet(stranger, mac(9), Micros(number));
            assert_eq!(table.hop(stranger), Some(mac(9)), "it can be answered");
        }
        assert_eq!(table.hop(client), Some(mac(77)));
        assert_eq!(table.hop(GATEWAY), Some(mac(2)));
    }

    #[test]
    fn a_contradiction_is_counted_and_believed_only_when_the_known_host_is_silent() {
        let mut table = table();
        table.hear(GATEWAY, mac(2), Micros::ZERO);
        table.hear(GATEWAY, mac(66), seconds(2));
        assert_eq!(table.hop(GATEWAY), Some(mac(2)));
        let question = table.question(seconds(2)).expect("the known host is asked");
        assert_eq!((question.to, question.target), (mac(2), GATEWAY));
        table.hear(GATEWAY, mac(2), seconds(2));
        assert_eq!(table.conflicts(), 1);
        assert_eq!(
            table.conflict().map(|conflict| conflict.mac),
            Some(mac(66).0)
        );

        // The known host has gone. The other one is taken when everybody is asked.
        table.hear(GATEWAY, mac(66), seconds(10));
        for second in 10..10 + u64::from(ARP_PROBES) {
            assert_eq!(
                table.question(seconds(second)).map(|it| it.to),
                Some(mac(2))
            );
            table.hear(GATEWAY, mac(66), seconds(second));
            assert_eq!(table.hop(GATEWAY), Some(mac(2)));
        }
        let last = seconds(10 + u64::from(ARP_PROBES));
        let broadcast = Some(EthernetAddress::BROADCAST);
        assert_eq!(table.question(last).map(|it| it.to), broadcast);
        table.hear(GATEWAY, mac(66), last);
        assert_eq!(table.hop(GATEWAY), Some(mac(66)));
    }

    #[test]
    fn contradictions_at_any_rate_ask_at_most_once_a_second() {
        let mut table = table();
        table.hear(GATEWAY, mac(2), Micros::ZERO);
        let mut asked = 0;
        for milli in 1_000..11_000 {
            let now = Micros::from_millis(milli);
            table.hear(GATEWAY, mac(66), now);
            while let Some(question) = table.question(now) {
                assert_eq!(question.to, mac(2));
                asked += 1;
                table.hear(GATEWAY, mac(2), now);
            }
        }
        assert!((9..=11).contains(&asked), "{asked}");
        assert_eq!(table.hop(GATEWAY), Some(mac(2)));
    }

    #[test]
    fn our_address_is_defended_at_a_bounded_rate() {
        let mut table = table();
        table.hear(GATEWAY, mac(2), Micros::ZERO);
        let mut announced = 0;
        for second in 0..20 {
            table.hear(OWN, mac(66), seconds(second));
            while let Some(question) = table.question(seconds(second)) {
                announced += u32::from(question.target == OWN);
            }
        }
        assert_eq!((announced, table.conflicts()), (2, 20));
    }

    #[test]
    fn a_host_that_sends_is_not_asked() {
        let mut table = table();
        table.hear(GATEWAY, mac(2), Micros::ZERO);
        for second in 0..300 {
            table.meet(GATEWAY, mac(2), seconds(second));
            assert_eq!(table.question(seconds(second)), None);
        }
    }

    #[test]
    fn the_broadcast_address_is_that_of_the_prefix() {
        let mut table = table();
        assert!(table.is_broadcast(Ipv4Addr::new(10, 0, 2, 255)));
        assert!(!table.is_broadcast(Ipv4Addr::new(10, 0, 3, 255)));
        table.set_own(Cidr::new(OWN, 23));
        assert!(!table.is_broadcast(Ipv4Addr::new(10, 0, 2, 255)));
        assert!(table.is_broadcast(Ipv4Addr::new(10, 0, 3, 255)));
    }
}
