//! An image for boot tests: takes the application's arguments, and does what the value of `--vm` names.
#![cfg_attr(target_os = "hermit", no_std, no_main)]

#[cfg(target_os = "hermit")]
mod image;

#[cfg(not(target_os = "hermit"))]
fn main() -> std::process::ExitCode {
    eprintln!("guest: an image for boot tests: build it with scripts/build.sh --package guest");
    std::process::ExitCode::FAILURE
}
