//! Checks the image as a file, as loaders other than QEMU see it.

use core::mem::MaybeUninit;
use std::fs;

use hermit_entry::elf::KernelObject;
use tests::image::{Heap, path};
use tests::measure::report;

/// The address that the image is linked to. uhyve and hermit-loader load a static image at its own address.
const BASE: u64 = 0x20_0000;

#[test]
fn both_images_are_what_uhyve_and_the_hermit_loader_accept() {
    for heap in [Heap::Talc, Heap::LinkedList] {
        let path = path(heap);
        let bytes = fs::read(&path).expect("the image");
        // Checks class, architecture, type, the entry version's note, and that nothing is dynamic.
        let object = KernelObject::parse(&bytes)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(
            object
                .hermit_version()
                .is_some_and(|version| version.major == 0 && version.minor == 11)
        );
        assert_eq!(object.start_addr(), Some(BASE));

        let size = object.mem_size();
        assert!(size < 8 << 20, "{size} bytes would leave no heap in 24 MiB");
        let mut memory = vec![MaybeUninit::uninit(); size];
        let loaded = object.load_kernel(&mut memory, BASE);
        assert!(
            (BASE..BASE + size as u64).contains(&loaded.entry_point),
            "{:#x}",
            loaded.entry_point
        );
        let range = loaded.load_info.kernel_image_addr_range;
        assert_eq!((range.start, range.end), (BASE, BASE + size as u64));
        assert!(loaded.load_info.tls_info.is_some());

        let symbols = addr2line::Loader::new(&path).expect("symbols");
        assert_eq!(symbols.find_symbol(loaded.entry_point), Some("_start"));
        report(&format!(
            "image with {heap:?}: {} KB in the file, {} KB in memory",
            bytes.len() / 1000,
            size / 1000
        ));
    }
}
