//! Finds the images that `scripts/build.sh` leaves.

use std::path::{Path, PathBuf};

/// The heap that an image was built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heap {
    /// talc, the default.
    Talc,
    /// linked_list_allocator.
    LinkedList,
}

/// Returns the image with this heap.
///
/// # Panics
/// Panics if it has not been built.
pub fn path(heap: Heap) -> PathBuf {
    let name = match heap {
        Heap::Talc => "talc",
        Heap::LinkedList => "linked-list",
    };
    built(&format!("app-{name}.elf"), &format!("--heap {name}"))
}

/// Returns the image for boot tests (`tests/guest`).
///
/// # Panics
/// Panics if it has not been built.
pub fn guest() -> PathBuf {
    built("guest.elf", "--package guest")
}

/// Returns an image of `examples/`.
///
/// # Panics
/// Panics if it has not been built.
pub fn example(name: &str) -> PathBuf {
    built(&format!("{name}.elf"), &format!("--package {name}"))
}

/// Returns the image that was built last, with either heap, as `scripts/build.sh --no-symbols` leaves it: the linker's output,
/// before the table of names is added.
///
/// # Panics
/// Panics if no image has been built.
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
