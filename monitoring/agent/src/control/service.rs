//! The control service: a [`Session`] for every socket of the port, and one [`Door`].

use core::net::Ipv4Addr;

use network::bounds::{COMMAND_MAX, CONTROL_SOCKETS};
use network::{Service, Step, Stream};
use units::Micros;

use super::answer::Managed;
use super::door::Door;
use super::session::{ControlCounts, SESSION_BYTES, Session};
use crate::config::Config;

/// All sessions of the control port. It never allocates.
#[derive(Debug)]
pub struct Control<'a> {
    sessions: [Session<'a>; CONTROL_SOCKETS],
    door: Door,
    counts: ControlCounts,
}

impl<'a> Control<'a> {
    /// Memory that [`Control::new`] needs, in bytes.
    pub const BYTES: usize = CONTROL_SOCKETS * SESSION_BYTES;

    /// Creates the service without a session.
    ///
    /// # Panics
    /// If the memory is smaller than [`Control::BYTES`].
    #[must_use]
    pub fn new(config: &Config, memory: &'a mut [u8]) -> Self {
        let mut memory = memory.chunks_exact_mut(SESSION_BYTES);
        let sessions = core::array::from_fn(|_| {
            let memory = memory.next().expect("memory for every session");
            let (line, reply) = memory.split_at_mut(COMMAND_MAX + 1);
            Session::new(line, reply, config.control_idle)
        });
        Self {
            sessions,
            door: Door::new(config.token),
            counts: ControlCounts::default(),
        }
    }

    /// Returns the counts of what the service has done.
    #[must_use]
    pub const fn counts(&self) -> &ControlCounts {
        &self.counts
    }

    /// Returns the service for one round.
    pub const fn serve<'s>(&'s mut self, managed: &'s Managed<'s>) -> Serving<'s, 'a> {
        Serving {
            control: self,
            managed,
        }
    }
}

/// The control service with the parts of the image that its commands use.
pub struct Serving<'s, 'a> {
    control: &'s mut Control<'a>,
    managed: &'s Managed<'s>,
}

impl Service for Serving<'_, '_> {
    fn admits(&mut self, slot: usize, now: Micros, peer: Ipv4Addr) -> bool {
        self.control.sessions[slot].meet(peer);
        self.control.door.is_open(peer, now)
    }

    fn opened(&mut self, slot: usize, now: Micros) {
        self.control.sessions[slot].open(now);
    }

    fn turn(&mut self, slot: usize, now: Micros, stream: &mut dyn Stream) -> Step {
        let Control {
            sessions,
            door,
            counts,
        } = &mut *self.control;
        sessions[slot].turn(now, stream, self.managed, door, counts)
    }
}
