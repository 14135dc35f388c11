//! Finds the card on the PCI bus and sets up its interrupt.

use core::arch::asm;
use core::ptr::NonNull;

use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::pci::bus::{
    BarInfo, CapabilityInfo, Command, ConfigurationAccess, DeviceFunction, HeaderType, PciRoot,
};
use virtio_drivers::transport::pci::{PciTransport, VIRTIO_PCI_CAP_COMMON_CFG, virtio_device_type};

use super::hal::{self, HermitHal};
use super::interrupt::{FIRST_LINE_VECTOR, Interrupt, MESSAGE_VECTOR};
use super::nic::{NicError, RECEIVE_QUEUE, TRANSMIT_QUEUE};
use crate::{cpu, interrupts};

const SECONDARY_BUS: u8 = 0x18;
const INTERRUPT_LINE: u8 = 0x3c;
const CAPABILITY_VENDOR: u8 = 0x09;
const CAPABILITY_MSI_X: u8 = 0x11;

/// Configuration access mechanism 1: an address port and a data port (PCI Local Bus Specification 3.0, 3.2.2.3.2).
#[derive(Clone, Copy)]
struct Ports;

impl Ports {
    fn select(function: DeviceFunction, register: u8) {
        const ADDRESS: u16 = 0xcf8;
        const ENABLE: u32 = 1 << 31;
        let address = ENABLE
            | u32::from(function.bus) << 16
            | u32::from(function.device) << 11
            | u32::from(function.function) << 8
            | u32::from(register & 0xfc);
        // SAFETY: the port exists on every PC, and a write only sets the address.
        unsafe { asm!("out dx, eax", in("dx") ADDRESS, in("eax") address, options(nostack)) };
    }
}

/// The data port of the mechanism.
const DATA: u16 = 0xcfc;

impl ConfigurationAccess for Ports {
    fn read_word(&self, function: DeviceFunction, register: u8) -> u32 {
        Self::select(function, register);
        let word;
        // SAFETY: configuration space may be read; the kernel uses the ports during boot only.
        unsafe { asm!("in eax, dx", in("dx") DATA, out("eax") word, options(nostack)) };
        word
    }

    fn write_word(&mut self, function: DeviceFunction, register: u8, word: u32) {
        Self::select(function, register);
        // SAFETY: callers write registers of a function that they own, as its specification says.
        unsafe { asm!("out dx, eax", in("dx") DATA, in("eax") word, options(nostack)) };
    }

    unsafe fn unsafe_clone(&self) -> Self {
        *self
    }
}

/// A card on the bus, before it is set up.
pub struct Card {
    root: PciRoot<Ports>,
    function: DeviceFunction,
}

/// Returns whether there is a PCI bus.
pub fn is_present() -> bool {
    const HOST_BRIDGE: DeviceFunction = DeviceFunction {
        bus: 0,
        device: 0,
        function: 0,
    };
    Ports.read_word(HOST_BRIDGE, 0) != u32::MAX
}

/// Returns the first virtio network card, in the order of bus, device and function.
pub fn find() -> Option<Card> {
    let root = PciRoot::new(Ports);
    let (mut bus, mut last_bus) = (0, 0);
    while bus <= last_bus {
        for (function, info) in root.enumerate_bus(bus) {
            if virtio_device_type(&info) == Some(DeviceType::Network) {
                return Some(Card { root, function });
            }
            if info.header_type == HeaderType::PciPciBridge {
                let secondary = (Ports.read_word(function, SECONDARY_BUS) >> 8) as u8;
                last_bus = last_bus.max(secondary);
            }
        }
        bus = bus.checked_add(1)?;
    }
    None
}

impl Card {
    /// Returns the card's registers as a virtio transport. It is an error if the card lacks the modern registers
    /// (`disable-modern=on`).
    pub fn transport(&mut self) -> Result<PciTransport, NicError> {
        let (_, command) = self.root.get_status_command(self.function);
        self.root.set_command(
            self.function,
            command | Command::MEMORY_SPACE | Command::BUS_MASTER,
        );
        Ok(PciTransport::new::<HermitHal, _>(
            &mut self.root,
            self.function,
        )?)
    }

    /// Routes the receive queue's interrupt to the waiting task. Call it after the negotiation of features and before the start of
    /// the device.
    pub fn interrupt(&mut self) -> Interrupt {
        let (_, command) = self.root.get_status_command(self.function);
        if self.route_message().is_some() {
            self.root
                .set_command(self.function, command | Command::INTERRUPT_DISABLE);
            interrupts::claim(MESSAGE_VECTOR);
            return Interrupt::MsiX {
                vector: MESSAGE_VECTOR,
            };
        }
        // Only ACPI's bytecode knows which line a pin is wired to. So the driver claims all lines that QEMU uses for pins, and the
        // line that the firmware names.
        const PIN_LINES: core::ops::Range<u8> = 16..24;
        const LINES: u8 = 24;
        self.root
            .set_command(self.function, command & !Command::INTERRUPT_DISABLE);
        let word = Ports.read_word(self.function, INTERRUPT_LINE);
        let (line, pin) = (word as u8, (word >> 8) as u8);
        if pin == 0 {
            return Interrupt::None;
        }
        for gsi in PIN_LINES.chain((line < LINES).then_some(line)) {
            interrupts::claim(FIRST_LINE_VECTOR + gsi);
        }
        Interrupt::Pin
    }

    /// Sends the receive queue's interrupts and those of the configuration to [`MESSAGE_VECTOR`] on this core, as MSI-X entry 0,
    /// and no others (VIRTIO 1.2, 4.1.4.3 and 4.1.5.1.2; PCI Local Bus Specification 3.0, 6.8.2). Returns `None` if the card cannot
    /// do this.
    fn route_message(&mut self) -> Option<()> {
        const ENABLE: u32 = 1 << 31;
        const MASK_ALL: u32 = 1 << 30;
        const NO_VECTOR: u16 = 0xffff;
        const ENTRY: u16 = 0;
        /// Offsets in the common configuration.
        const MSIX_CONFIG: usize = 0x10;
        const QUEUE_SELECT: usize = 0x16;
        const QUEUE_MSIX_VECTOR: usize = 0x1a;

        let msi_x = self.capability(|capability| capability.id == CAPABILITY_MSI_X)?;
        let common = self.capability(|capability| {
            capability.id == CAPABILITY_VENDOR
                && (capability.private_header >> 8) as u8 == VIRTIO_PCI_CAP_COMMON_CFG
        })?;
        let common = self.region(
            Ports.read_word(self.function, common.offset + 4) as u8,
            Ports.read_word(self.function, common.offset + 8),
        )?;
        let table = Ports.read_word(self.function, msi_x.offset + 4);
        let entry = self.region((table & 7) as u8, table & !7)?.cast::<u32>();

        let control = Ports.read_word(self.function, msi_x.offset);
        Ports.write_word(self.function, msi_x.offset, control | ENABLE | MASK_ALL);
        let apic = cpu::local_apic_id();
        let message = [
            0xfee0_0000 | u32::from(apic) << 12,
            0,
            u32::from(MESSAGE_VECTOR),
            0,
        ];
        for (index, word) in message.into_iter().enumerate() {
            // SAFETY: the four words of the table's entry 0, in the card's registers.
            unsafe { entry.add(index).write_volatile(word) };
        }
        Ports.write_word(self.function, msi_x.offset, (control | ENABLE) & !MASK_ALL);

        // SAFETY: 16-bit fields of the common configuration, in the card's registers. Only this task sets up the card.
        let refused = unsafe {
            let field = |offset: usize| common.add(offset).cast::<u16>();
            // A change of the link raises the configuration's interrupt.
            field(MSIX_CONFIG).write_volatile(ENTRY);
            field(QUEUE_SELECT).write_volatile(TRANSMIT_QUEUE);
            field(QUEUE_MSIX_VECTOR).write_volatile(NO_VECTOR);
            field(QUEUE_SELECT).write_volatile(RECEIVE_QUEUE);
            field(QUEUE_MSIX_VECTOR).write_volatile(ENTRY);
            field(QUEUE_MSIX_VECTOR).read_volatile() != ENTRY
        };
        if refused {
            Ports.write_word(self.function, msi_x.offset, control & !ENABLE);
            return None;
        }
        Some(())
    }

    fn capability(&self, is_it: impl Fn(&CapabilityInfo) -> bool) -> Option<CapabilityInfo> {
        self.root.capabilities(self.function).find(is_it)
    }

    /// Returns the card's registers at `offset` in a memory BAR.
    fn region(&mut self, bar: u8, offset: u32) -> Option<NonNull<u8>> {
        const LAST_BAR: u8 = 5;
        const COMMON_BYTES: usize = 0x38;
        if bar > LAST_BAR {
            return None;
        }
        match self.root.bar_info(self.function, bar).ok()?? {
            BarInfo::Memory { address, .. } if address != 0 => {
                Some(hal::registers(address + u64::from(offset), COMMON_BYTES))
            }
            _ => None,
        }
    }
}
