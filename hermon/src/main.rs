//! `hermon`: see `hermon --help`.
#![deny(unsafe_code)]

fn main() -> std::process::ExitCode {
    hermon::main()
}
