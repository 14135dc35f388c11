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
    built(&format!("app-{name}.elf"), &format!("--heap {name}"))
}

/// The image that does what a test asks for (`tests/guest`).
///
/// # Panics
/// If it has not been built.
pub fn guest() -> PathBuf {
    built("guest.elf", "--package guest")
}

/// An image of `examples/`.
///
/// # Panics
/// If it has not been built.
pub fn example(name: &str) -> PathBuf {
    built(&format!("{name}.elf"), &format!("--package {name}"))
}

/// An image as `scripts/build.sh --no-symbols` leaves it: what the linker wrote, before the table of names is added. The one that was
/// built last, with either heap.
///
/// # Panics
/// If none has been built.
pub fn without_names() -> PathBuf {
    built("../x86_64-unknown-hermit/guest/app", "--no-symbols")
}

fn built(name: &str, options: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/hermit")
        .join(name);
    assert!(
        path.is_file(),
        "there is no {}: run scripts/build.sh {options}",
        path.display()
    );
    path
}
