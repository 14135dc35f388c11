//! An application with std that monitors itself: it uses threads, collections and `println!` as usual, and its heap is profiled.

#[cfg(target_os = "hermit")]
mod image;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "hermit")]
    return image::main();
    #[cfg(not(target_os = "hermit"))]
    {
        eprintln!(
            "with-std: this is the image of a Hermit guest and does not run on the host: build it with scripts/build.sh --package with-std"
        );
        std::process::ExitCode::FAILURE
    }
}
