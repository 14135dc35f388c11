//! An application with std that monitors itself: threads, collections and `println!` as anywhere, and a heap that is profiled.

#[cfg(target_os = "hermit")]
mod image;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "hermit")]
    return image::main();
    #[cfg(not(target_os = "hermit"))]
    {
        eprintln!("with-std: a Hermit guest: build it with scripts/build.sh --package with-std");
        std::process::ExitCode::FAILURE
    }
}
