//! The card's interrupt.

use core::fmt;

/// The way in which the card tells that there is work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// The card's own message, on this vector.
    MsiX {
        /// Interrupt vector.
        vector: u8,
    },
    /// A PCI interrupt pin, on any of the lines that it can be wired to.
    Pin,
    /// The line in the description of the virtio-mmio device.
    Line {
        /// Global system interrupt.
        gsi: u8,
    },
    /// No interrupt is available: the card is polled.
    None,
}

/// The vector of global system interrupt 0: the kernel routes interrupt N to this vector plus N, edge-triggered
/// (`ioapic_set_interrupt`).
pub const FIRST_LINE_VECTOR: u8 = 0x20;
/// The vector of our message. The kernel does not use it: it uses 32–55 for lines, and 112, 121, 123, 126, 127.
pub const MESSAGE_VECTOR: u8 = 0x50;

impl fmt::Display for Interrupt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MsiX { vector } => write!(formatter, "MSI-X vector {vector}"),
            Self::Pin => formatter.write_str("PCI interrupt pin"),
            Self::Line { gsi } => write!(formatter, "interrupt line {gsi}"),
            Self::None => formatter.write_str("no interrupt, polled"),
        }
    }
}
