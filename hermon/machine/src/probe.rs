//! Finds out by a boot whether KVM runs this image on this machine.
//!
//! It proves little that /dev/kvm can be opened. Software emulations of KVM (nested, without VMX or SVM) stop with
//! "emulation failure" at the first instruction that they do not know. So the image is booted with `--version`, which
//! ends at once.

use core::time::Duration;
use std::fs::OpenOptions;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

use thiserror::Error;

use crate::guest::{Ended, Guest, Killer, Said, StartError};
use crate::qemu::{Accel, Nic, Vm};

/// The time limit of a probe boot. Booting takes 0.2 s under TCG, so a KVM that needs longer is not worth it.
const DEADLINE: Duration = Duration::from_secs(5);

/// QEMU's message when KVM cannot go on; QEMU then waits permanently.
const STUCK: &str = "KVM internal error";

/// The reason why KVM is not used.
#[derive(Debug, Error)]
pub enum NoKvm {
    /// The device does not exist, or this process may not use it.
    #[error("/dev/kvm cannot be opened: {0}")]
    Device(io::Error),
    /// QEMU did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The probe boot did not end.
    #[error("a probe boot did not end within {} s", DEADLINE.as_secs())]
    Hangs,
    /// QEMU gave up.
    #[error("a probe boot failed: {0}")]
    Failed(String),
}

/// Boots the image under KVM, without a NIC, and waits for its end.
///
/// `started` gets a handle that ends the probe early. Takes about 0.1 s where KVM works, and at most 5 s.
///
/// # Errors
/// [`NoKvm`], the reason why it does not work.
pub fn kvm(vm: &Vm, started: impl FnOnce(Killer)) -> Result<(), NoKvm> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map_err(NoKvm::Device)?;
    let probe = Vm {
        accel: Accel::Kvm,
        nic: Nic::None,
        debug_exit: true,
        qmp: None,
        arguments: vec!["--version".to_owned()],
        ..vm.clone()
    };
    let (to, from) = channel();
    let deadline = Instant::now() + DEADLINE;
    // When the probe was given up, nobody receives its lines.
    let mut guest = Guest::start(&probe, move |said| drop(to.send(said)))?;
    started(guest.killer());
    let mut spoke = false;
    let mut complaint = None;
    loop {
        match from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(Said::Console(_)) => spoke = true,
            Ok(Said::Qemu(line)) if line.contains(STUCK) => return Err(NoKvm::Failed(line)),
            Ok(Said::Qemu(line)) => complaint = Some(line),
            Ok(Said::End) => break,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(NoKvm::Hangs);
            }
        }
    }
    match guest.wait() {
        Ok(Ended::Success) => Ok(()),
        // An application without `--version` has run, too.
        Ok(Ended::Failure) if spoke => Ok(()),
        Ok(ended) => Err(NoKvm::Failed(
            complaint.unwrap_or_else(|| ended.to_string()),
        )),
        Err(error) => Err(NoKvm::Failed(error.to_string())),
    }
}
