//! Boots images under QEMU and reports their output and their end. The tool `hermon` and the boot tests use it.
//!
//! A machine is described as a [`qemu::Vm`]; [`guest::Guest::start`] boots it. The other modules serve these two:
//!
//! | task | module |
//! |---|---|
//! | describe a machine; QEMU's command line, a pure function | [`qemu`], and [`append`] for the guest's kernel command line |
//! | boot it, hear its console line by line, learn how it ended | [`guest`] |
//! | find out by a boot whether KVM runs this image here | [`probe`] |
//! | give the guest the frequency of its time stamp counter | [`tsc`] |
//! | check that the host's ports are all different and free | [`ports`] |
//! | know where the demo application listens | [`application`] |
//! | start any other program that must not outlive this one | [`offspring`] |
//! | cut bytes into lines in bounded memory | [`split`] |
//!
//! ```no_run
//! use hermon_machine::guest::{Ended, Guest, Said};
//! use hermon_machine::qemu::{Accel, Machine, Memory, Nic, Vm};
//!
//! let vm = Vm {
//!     qemu: "qemu-system-x86_64".into(),
//!     image: "target/hermit/app.elf".into(),
//!     machine: Machine::Q35,
//!     accel: Accel::Tcg,
//!     cpu: None,
//!     memory: Memory::mib(64).unwrap(),
//!     nic: Nic::None,
//!     debug_exit: true,
//!     qmp: None,
//!     tsc_mhz: hermon_machine::tsc::mhz(),
//!     arguments: vec!["--version".to_owned()],
//! };
//! let (to, from) = std::sync::mpsc::channel();
//! let mut guest = Guest::start(&vm, move |said| drop(to.send(said)))?;
//! while let Ok(Said::Console(line) | Said::Qemu(line)) = from.recv() {
//!     println!("{line}");
//! }
//! assert_eq!(guest.wait()?, Ended::Success);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The feature `clap` makes [`qemu::Machine`] a value of a command line. Needs Rust 1.91. Runs on the host, never in an
//! image.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

pub mod append;
pub mod application;
pub mod guest;
pub mod offspring;
pub mod ports;
pub mod probe;
pub mod qemu;
pub mod split;
pub mod tsc;
