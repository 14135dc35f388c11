//! Finds the card among virtio-mmio devices.
//!
//! The devices are described on the kernel's command line ([`description`]). Virtual machine monitors append the descriptions, so
//! they may come after the `--` that ends the kernel's own arguments. QEMU's microvm leaves them out with
//! `auto-kernel-cmdline=off`; then this module searches the microvm's window.

use core::ptr::{self, NonNull};
use core::slice;
use core::str;

use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};

use super::description::{self, Place};
use super::hal;
use super::interrupt::{FIRST_LINE_VECTOR, Interrupt};
use crate::{entry, interrupts, sys};

/// QEMU's microvm: eight devices (24 with a second IOAPIC, which Hermit cannot use) of 512 bytes each (hw/i386/microvm.c).
const MICROVM_WINDOW: u64 = 0xfeb0_0000;
const MICROVM_DEVICES: u8 = 8;
const MICROVM_BYTES: usize = 512;
const MICROVM_FIRST_GSI: u8 = 16;
/// The number of the IOAPIC's lines. The kernel leaves two of them closed (`init_ioapic`).
const LINES: u8 = 24;
const CLOSED_LINES: [u8; 2] = [0, 2];

/// Returns the first virtio network card and its interrupt. `search` says whether to look also in the microvm's window.
pub fn find(search: bool) -> Option<(MmioTransport<'static>, Interrupt)> {
    let named = (0..)
        .map_while(described)
        .chain(entry::mmio_arguments())
        .filter_map(description::parse);
    let window = (0..MICROVM_DEVICES).filter(|_| search).map(|slot| Place {
        address: MICROVM_WINDOW + u64::from(slot) * MICROVM_BYTES as u64,
        bytes: MICROVM_BYTES,
        gsi: MICROVM_FIRST_GSI + slot,
    });
    named.chain(window).find_map(|place| {
        let transport = open(place)?;
        let interrupt = if place.gsi < LINES && !CLOSED_LINES.contains(&place.gsi) {
            interrupts::claim(FIRST_LINE_VECTOR + place.gsi);
            Interrupt::Line { gsi: place.gsi }
        } else {
            Interrupt::None
        };
        Some((transport, interrupt))
    })
}

/// Returns the description of the device `index` that the kernel took from its command line.
fn described(index: usize) -> Option<&'static str> {
    let mut text = ptr::null();
    // SAFETY: `text` is valid for a write. The kernel returns a string that it never frees.
    unsafe {
        let length = sys::sys_virtio_mmio(index, &mut text);
        (length > 0).then(|| str::from_utf8_unchecked(slice::from_raw_parts(text, length)))
    }
}

fn open(place: Place) -> Option<MmioTransport<'static>> {
    let header: NonNull<VirtIOHeader> = hal::registers(place.address, place.bytes).cast();
    // SAFETY: the mapping is permanent. The command line or the machine's layout says that the registers are those of a virtio-mmio
    // device; the transport checks their magic number.
    let transport = unsafe { MmioTransport::new(header, place.bytes) }.ok()?;
    if transport.device_type() == DeviceType::Network {
        Some(transport)
    } else {
        // Dropping the transport would reset a device that is not ours.
        core::mem::forget(transport);
        None
    }
}
