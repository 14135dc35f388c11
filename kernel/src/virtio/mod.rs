//! The driver of monitoring's network card: virtio-net as a smoltcp `phy::Device`, with the interrupt that it waits on.
//!
//! ```text
//!  Nic::find ── pci  ── modern and transitional PCI, MSI-X or INTx
//!            └─ mmio ── virtio-mmio (QEMU's microvm)
//!  Nic ── ring  ── a virtqueue with its buffers
//!      └─ hal   ── DMA memory, device registers
//! ```
//! Source of all layouts: Virtual I/O Device (VIRTIO) Version 1.2, OASIS.

#[cfg(any(test, target_os = "hermit"))]
mod description;
#[cfg(target_os = "hermit")]
mod hal;
#[cfg(target_os = "hermit")]
mod interrupt;
#[cfg(target_os = "hermit")]
mod mmio;
#[cfg(target_os = "hermit")]
mod nic;
#[cfg(target_os = "hermit")]
mod pci;
#[cfg(target_os = "hermit")]
mod ring;

#[cfg(target_os = "hermit")]
pub use self::{
    interrupt::Interrupt,
    nic::{Nic, NicError},
};
