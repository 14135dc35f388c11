//! Finds the card among virtio-mmio devices.
//!
//! They are described on the kernel's command line ([`description`]). Virtual machine monitors append that, so it may come after the
//! `--` that ends the kernel's own arguments. QEMU's microvm leaves it out with `auto-kernel-cmdline=off`: then its window is searched.

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
/// The kernel's IOAPIC has this many lines, of which the kernel leaves two closed (`init_ioapic`).
const LINES: u8 = 24;
const CLOSED_LINES: [u8; 2] = [0, 2];

/// The first virtio network card and its interrupt. `search` says whether to look where nobody said that devices are.
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

/// The device `index` that the kernel took from its command line.
fn described(index: usize) -> Option<&'static str> {
    let mut text = ptr::null();
    // SAFETY: `text` is valid for a write; what is returned is a string of the kernel's that lives for ever.
    unsafe {
        let length = sys::sys_virtio_mmio(index, &mut text);
        (length > 0).then(|| str::from_utf8_unchecked(slice::from_raw_parts(text, length)))
    }
}

fn open(place: Place) -> Option<MmioTransport<'static>> {
    let header: NonNull<VirtIOHeader> = hal::registers(place.address, place.bytes).cast();
    // SAFETY: a mapping of registers that the command line or the machine's layout says are a virtio-mmio device's; the transport
    // checks their magic number. The mapping stays for ever.
    let transport = unsafe { MmioTransport::new(header, place.bytes) }.ok()?;
    if transport.device_type() == DeviceType::Network {
        Some(transport)
    } else {
        // Dropping it would reset a device that is not ours.
        core::mem::forget(transport);
        None
    }
}
