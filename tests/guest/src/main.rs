//! An image for boot tests: it takes the application's arguments and runs the task that `--vm` names.
#![cfg_attr(target_os = "hermit", no_std, no_main)]

#[cfg(target_os = "hermit")]
mod image;

#[cfg(not(target_os = "hermit"))]
fn main() -> std::process::ExitCode {
    eprintln!(
        "guest: this is an image for boot tests and does not run on the host: build it with scripts/build.sh --package guest"
    );
    std::process::ExitCode::FAILURE
}
