//! The link that goes down and up, and the lines that are lost meanwhile.

use core::time::Duration;
use std::thread;

use crate::machine::{By, Lines, Machine};

/// The time for which the link is down.
const DOWN: Duration = Duration::from_secs(4);

/// The lines that one machine has lost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Losses {
    /// How often the link went down and up.
    pub flaps: u64,
    /// Lines sent by UDP that did not get to the cable while the link was down.
    pub while_down: u64,
    /// Lines that did not get to the cable while the link was up.
    pub while_up: u64,
    /// Lines that were missing at the last look.
    missing: u64,
}

impl Losses {
    /// Starts with the lines that were sent before the cable was looked at.
    pub(crate) fn since(machine: &Machine) -> Self {
        Self {
            missing: missing(machine.by(), &machine.lines()),
            ..Self::default()
        }
    }

    /// Takes the link down and up.
    pub(crate) fn flap(&mut self, machine: &mut Machine) {
        self.look(machine.by(), &machine.lines());
        machine.link(false);
        thread::sleep(DOWN);
        machine.link(true);
        let missing = missing(machine.by(), &machine.lines());
        self.while_down += missing - self.missing;
        self.missing = missing;
        self.flaps += 1;
    }

    /// Looks at the lines while the link is up.
    pub(crate) fn look(&mut self, by: By, lines: &Lines) {
        let missing = missing(by, lines);
        self.while_up += missing.saturating_sub(self.missing);
        self.missing = missing;
    }
}

/// Returns the lines that were sent and were not seen on the cable. TCP repeats what was not acknowledged.
fn missing(by: By, lines: &Lines) -> u64 {
    match by {
        By::Udp => lines.sent.saturating_sub(lines.on_cable),
        By::Tcp => 0,
    }
}
