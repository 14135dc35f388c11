//! The image, when built for Hermit: see `image.rs`. Built for the host it only prints how to build it.
#![cfg_attr(target_os = "hermit", no_std, no_main)]

#[cfg(target_os = "hermit")]
mod image;

#[cfg(not(target_os = "hermit"))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "app: this is the image of a Hermit guest and does not run on the host: build it with scripts/build.sh"
    );
    std::process::ExitCode::FAILURE
}
