//! The smallest Hermit application that monitors itself: a heap, a log, a metrics source, and monitoring beside them.
#![cfg_attr(target_os = "hermit", no_std, no_main)]

#[cfg(target_os = "hermit")]
mod image;

#[cfg(not(target_os = "hermit"))]
fn main() {
    eprintln!(
        "minimal: this is the image of a Hermit guest and does not run on the host: build it with scripts/build.sh --package minimal"
    );
}
