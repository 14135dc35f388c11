//! The smallest Hermit application that monitors itself: a heap, a log, a source of its own, and monitoring beside them.
#![cfg_attr(target_os = "hermit", no_std, no_main)]

#[cfg(target_os = "hermit")]
mod image;

#[cfg(not(target_os = "hermit"))]
fn main() {
    eprintln!(
        "minimal: the image of a Hermit guest: build it with scripts/build.sh --package minimal"
    );
}
