//! Does KVM run this image on this machine? Found out by booting it.
//!
//! That /dev/kvm can be opened proves little: software emulations of KVM (nested, without VMX or SVM) stop with
//! "emulation failure" at the first instruction they do not know. So the image is booted with `--version`, which ends
//! at once.

use core::time::Duration;
use std::fs::OpenOptions;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Instant;

use thiserror::Error;

use crate::guest::{Ended, Guest, Killer, Said, StartError};
use crate::qemu::{Accel, Nic, Vm};

/// The longest time that a probe boot may take. Booting takes 0.2 s under TCG, so KVM that needs longer is no gain.
const DEADLINE: Duration = Duration::from_secs(5);

/// QEMU's words when KVM cannot go on; it then waits and never ends.
const STUCK: &str = "KVM internal error";

/// The reason why KVM is not used.
#[derive(Debug, Error)]
pub enum NoKvm {
    /// The device is not there or not ours to use.
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
/// `started` gets what ends the probe before its time. Takes about 0.1 s where KVM works, 5 s at worst.
///
/// # Errors
/// [`NoKvm`]: why it does not work.
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
    // A probe that has been given up is heard by nobody.
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
        // An application that knows no `--version` has run, too.
        Ok(Ended::Failure) if spoke => Ok(()),
        Ok(ended) => Err(NoKvm::Failed(
            complaint.unwrap_or_else(|| ended.to_string()),
        )),
        Err(error) => Err(NoKvm::Failed(error.to_string())),
    }
}
