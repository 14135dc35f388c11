//! Parses the description of a virtio-mmio device on a kernel's command line: `SIZE@ADDRESS:IRQ`, as in `512@0xfeb00e00:12` or
//! `4K@0xd0000000:5` (Linux, Documentation/admin-guide/kernel-parameters.txt, `virtio_mmio.device`).

/// The place of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Physical address of its registers.
    pub address: u64,
    /// Bytes of its registers.
    pub bytes: usize,
    /// The global system interrupt of its interrupt.
    pub gsi: u8,
}

/// The size of the registers before the configuration space (VIRTIO 1.2, 4.2.2); a device has at least these.
const BYTES_MIN: u64 = 0x100;
/// The largest accepted size. No device has more, and a larger mapping would only cost page tables.
const BYTES_MAX: u64 = 64 << 10;
/// The end of physical addresses, which have 52 bits at most (AMD64 Architecture Programmer's Manual, volume 2, 5.1).
const ADDRESS_END: u64 = 1 << 52;

/// Returns the described place, or `None` if `text` does not describe a possible device.
pub fn parse(text: &str) -> Option<Place> {
    let (size, rest) = text.split_once('@')?;
    let mut parts = rest.split(':');
    let (address, gsi) = (number(parts.next()?)?, parts.next()?.parse().ok()?);
    let (digits, unit) = match size.as_bytes().last()? {
        b'k' | b'K' => (&size[..size.len() - 1], 1 << 10),
        b'm' | b'M' => (&size[..size.len() - 1], 1 << 20),
        _ => (size, 1),
    };
    let bytes = number(digits)?.checked_mul(unit)?;
    let is_sane = (BYTES_MIN..=BYTES_MAX).contains(&bytes)
        && address != 0
        && address.is_multiple_of(align_of::<u32>() as u64)
        && address.checked_add(bytes)? <= ADDRESS_END;
    is_sane.then_some(Place {
        address,
        bytes: usize::try_from(bytes).ok()?,
        gsi,
    })
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bytes: usize, address: u64, gsi: u8) -> Option<Place> {
        Some(Place {
            address,
            bytes,
            gsi,
        })
    }

    #[test]
    fn descriptions_of_known_monitors_are_understood() {
        assert_eq!(parse("512@0xfeb00e00:12"), place(512, 0xfeb0_0e00, 12));
        assert_eq!(parse("4K@0xd0000000:5"), place(4096, 0xd000_0000, 5));
        assert_eq!(parse("0x200@4273995776:23:1"), place(512, 0xfec0_0000, 23));
        assert_eq!(parse("64k@0x1000:0"), place(65536, 0x1000, 0));
    }

    #[test]
    fn what_no_device_can_be_is_refused() {
        for text in [
            "",
            "@",
            "512",
            "512@",
            "512@0xfeb00e00",
            "512@0xfeb00e00:",
            "512@0xfeb00e00:256",
            "512@0xfeb00e00:x",
            "x@0xfeb00e00:1",
            "K@0xfeb00e00:1",
            "é@1:1",
            "255@0x1000:1",
            "65K@0x1000:1",
            "18446744073709551615K@0x1000:1",
            "17179869184G@0x1000:1",
            "512@0:1",
            "512@0x1001:1",
            "4K@0xffffffffffff0000:5",
            "4K@0xffffffffffffffff:5",
            "8K@0xffffffffff000:5",
            "512@-1:1",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
