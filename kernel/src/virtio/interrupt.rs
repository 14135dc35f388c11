//! What the card waits on.

use core::fmt;

/// How the card tells that there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// A message of its own, on this vector.
    MsiX {
        /// Interrupt vector.
        vector: u8,
    },
    /// A PCI interrupt pin, on any of the lines it can be wired to.
    Pin,
    /// The line that the virtio-mmio device was described with.
    Line {
        /// Global system interrupt.
        gsi: u8,
    },
    /// None to be had: the card is polled.
    None,
}

/// The kernel routes global system interrupt N to this vector plus N, edge-triggered (`ioapic_set_interrupt`).
pub const FIRST_LINE_VECTOR: u8 = 0x20;
/// Vector of our message: free in the kernel, which uses 32–55 for lines and 112, 121, 123, 126, 127.
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
