//! Where `scripts/build.sh` leaves the images.

use std::path::{Path, PathBuf};

/// The heap an image was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heap {
    /// talc, the default.
    Talc,
    /// linked_list_allocator.
    LinkedList,
}

/// The image with this heap.
///
/// # Panics
/// If it has not been built.
pub fn path(heap: Heap) -> PathBuf {
    let name = match heap {
        Heap::Talc => "talc",
        Heap::LinkedList => "linked-list",
    };
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/hermit/app-{name}.elf"));
    assert!(
        path.is_file(),
        "there is no {}: run scripts/build.sh --heap {name}",
        path.display()
    );
    path
}
