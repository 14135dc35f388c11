//! The control service: a [`Session`] for every socket of the port, and one [`Door`].

use network::bounds::{COMMAND_MAX, CONTROL_SOCKETS, UNPROVEN_MAX};
use network::{Service, Step, Stream};
use units::Micros;

use super::answer::Managed;
use super::session::{ControlCounts, SESSION_BYTES, Session};
use crate::config::Config;
use crate::door::{Door, Lock};

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

    /// Creates the service without a session. `key` is the secret of the challenges.
    ///
    /// # Panics
    /// If the memory is smaller than [`Control::BYTES`].
    #[must_use]
    pub fn new(config: &Config, key: [u8; 32], memory: &'a mut [u8]) -> Self {
        let mut memory = memory.chunks_exact_mut(SESSION_BYTES);
        let sessions = core::array::from_fn(|_| {
            let memory = memory.next().expect("memory for every session");
            let (line, reply) = memory.split_at_mut(COMMAND_MAX + 1);
            Session::new(line, reply, config.control_idle)
        });
        Self {
            sessions,
            door: Door::new(Lock::new(config, key), "control"),
            counts: ControlCounts::default(),
        }
    }

    /// Returns the counts of what the service has done.
    #[must_use]
    pub const fn counts(&self) -> &ControlCounts {
        &self.counts
    }

    /// Returns the slot of the connection that may give its place to a newcomer and has given no command for longest.
    fn first_to_yield(&self, now: Micros) -> Option<usize> {
        let is_guarded = self.door.is_guarded();
        let sessions = self.sessions.iter().enumerate();
        let yields =
            sessions.filter_map(|(slot, session)| Some((session.yields(now, is_guarded)?, slot)));
        yields.min().map(|(_, slot)| slot)
    }

    fn give_up(&mut self, slot: usize) {
        self.sessions[slot].give_up();
        self.counts.yielded += 1;
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
    fn opened(&mut self, slot: usize, now: Micros) {
        let Control { sessions, door, .. } = &mut *self.control;
        let unproven = sessions
            .iter()
            .filter(|session| session.is_unproven())
            .count();
        if door.is_guarded() && unproven >= UNPROVEN_MAX {
            // If the proofs of all others wait, the newcomer has no place.
            let oldest = self.control.first_to_yield(now).unwrap_or(slot);
            self.control.sessions[slot].open(now);
            self.control.give_up(oldest);
        } else {
            sessions[slot].open(now);
        }
    }

    fn closed(&mut self, slot: usize) {
        self.control.sessions[slot].close();
    }

    fn gives_up(&mut self, now: Micros) -> Option<usize> {
        let slot = self.control.first_to_yield(now)?;
        self.control.give_up(slot);
        self.control.sessions[slot].close();
        Some(slot)
    }

    fn turn(&mut self, slot: usize, now: Micros, stream: &mut dyn Stream) -> Step {
        let Control {
            sessions,
            door,
            counts,
        } = &mut *self.control;
        let step = sessions[slot].turn(now, stream, self.managed, door, counts);
        if !matches!(step, Step::Stay(_)) {
            sessions[slot].close();
        }
        step
    }
}
