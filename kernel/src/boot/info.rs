//! The record that Hermit's `_start` takes.
//!
//! Its fields are private in crate `hermit-entry`. So the layout is copied from version 0.10.11, which the kernel is locked to; a
//! test compares the two.

/// Thread-local storage: the image's PT_TLS segment.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Tls {
    /// Address of the initial image.
    pub start: u64,
    /// Bytes of the initial image.
    pub file_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Alignment in bytes.
    pub align: u64,
}

/// `RawBootInfo` with the platform that takes everything from the device tree.
#[repr(C)]
pub struct BootInfo {
    /// Lowest address of all memory regions.
    pub memory_start: u64,
    /// End of the highest memory region.
    pub memory_end: u64,
    /// I/O port of the serial console.
    pub serial_port: u16,
    /// Physical address of the device tree.
    pub device_tree: u64,
    /// Start of the image.
    pub image_start: u64,
    /// End of the image, zero-initialised data included.
    pub image_end: u64,
    /// Thread-local storage.
    pub tls: Tls,
    /// The platform.
    pub platform: Platform,
}

/// The platform: a tag, and room for the largest variant.
#[repr(C)]
pub struct Platform {
    tag: u32,
    rest: [u64; 5],
}

impl Platform {
    /// The platform that takes everything from the device tree.
    pub const FDT: Self = Self {
        tag: 3,
        rest: [0; 5],
    };
}

#[cfg(test)]
mod tests {
    use core::mem::{offset_of, size_of};
    use core::num::{NonZeroU16, NonZeroU64};

    use hermit_entry::boot_info as theirs;

    use super::*;

    #[test]
    fn the_record_is_laid_out_as_in_hermit_entry() {
        let tls = Tls {
            start: 3,
            file_bytes: 4,
            memory_bytes: 5,
            align: 6,
        };
        let raw = theirs::RawBootInfo::from(theirs::BootInfo {
            hardware_info: theirs::HardwareInfo {
                phys_addr_range: 1..2,
                serial_port_base: NonZeroU16::new(0x3f8),
                device_tree: NonZeroU64::new(0x1234_5678),
            },
            load_info: theirs::LoadInfo {
                kernel_image_addr_range: 7..8,
                tls_info: Some(theirs::TlsInfo {
                    start: 3,
                    filesz: 4,
                    memsz: 5,
                    align: 6,
                }),
            },
            platform_info: theirs::PlatformInfo::Fdt,
        });
        assert_eq!(size_of::<theirs::RawBootInfo>(), size_of::<BootInfo>());
        // SAFETY: the sizes are the same, both are `repr(C)`, and every bit pattern is valid for ours. The test does not read bytes
        // that hold no value in theirs (padding and unused variants).
        let seen: core::mem::ManuallyDrop<BootInfo> = unsafe { core::mem::transmute_copy(&raw) };
        assert_eq!((seen.memory_start, seen.memory_end), (1, 2));
        assert_eq!((seen.serial_port, seen.device_tree), (0x3f8, 0x1234_5678));
        assert_eq!((seen.image_start, seen.image_end), (7, 8));
        assert_eq!(
            (seen.tls.start, seen.tls.file_bytes),
            (tls.start, tls.file_bytes)
        );
        assert_eq!(
            (seen.tls.memory_bytes, seen.tls.align),
            (tls.memory_bytes, tls.align)
        );
        assert_eq!(seen.platform.tag, Platform::FDT.tag);
        assert_eq!(offset_of!(BootInfo, platform), 80);
    }
}
