//! The network card that monitoring owns: virtio-net as a smoltcp `phy::Device`, with the interrupt that it waits on.
//!
//! ```text
//!  Nic::find ── pci  ── modern and transitional PCI, MSI-X or INTx
//!            └─ mmio ── virtio-mmio (microvm, Firecracker)
//!  Nic ── ring  ── a virtqueue with its buffers
//!      └─ hal   ── DMA memory, device registers
//! ```
//! Source of all layouts: Virtual I/O Device (VIRTIO) Version 1.2, OASIS.

mod hal;
mod interrupt;
mod mmio;
mod nic;
mod pci;
mod ring;

pub use interrupt::Interrupt;
pub use nic::{Nic, NicError};
