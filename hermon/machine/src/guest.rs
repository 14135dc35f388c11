//! A running QEMU: what it says, line by line, and how it ends.
//!
//! ```text
//!        start              both outputs closed           wait
//!  (Vm) ──────▶ running ────────────────────────▶ ended ──────▶ Ended
//!                  │ drop, Guest::kill, Killer::kill ▲
//!                  └─────────────────────────────────┘
//!                      or this process ends, however
//! ```

use core::fmt;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use thiserror::Error;

use crate::append::AppendError;
use crate::offspring;
use crate::qemu::Vm;
use crate::split::{Piece, Splitter};

/// One thing that a running guest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// A line on the guest's console.
    Console(String),
    /// A line from QEMU itself, on its standard error.
    Qemu(String),
    /// QEMU has closed its standard output: nothing more comes from the console, and QEMU has ended or is about to.
    End,
}

/// The way a guest ended, from QEMU's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The image reported success through `isa-debug-exit` (it writes 1; QEMU ends with 2 · 1 + 1).
    Success,
    /// QEMU ended with 1: the image reported failure (it writes 0), or QEMU itself could not run it and said why.
    Failure,
    /// QEMU ended with 0: the guest powered off by ACPI, or it reset. With `isa-debug-exit` present a clean end is
    /// [`Ended::Success`], so this is a crash there.
    Off,
    /// A signal killed QEMU.
    Signal(i32),
    /// Any other code.
    Other(i32),
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => Self::Off,
            (Some(1), _) => Self::Failure,
            (Some(3), _) => Self::Success,
            (Some(code), _) => Self::Other(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("the guest ended with success"),
            Self::Failure => f.write_str("the guest ended with failure"),
            Self::Off => f.write_str("the guest powered off or reset"),
            Self::Signal(signal) => write!(f, "qemu was killed by signal {signal}"),
            Self::Other(code) => write!(f, "qemu ended with status {code}"),
        }
    }
}

/// The reason why no guest runs.
#[derive(Debug, Error)]
pub enum StartError {
    /// The application's arguments cannot be passed on.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// QEMU cannot be executed.
    #[error(
        "cannot run {program:?}: {source}: install QEMU with scripts/setup.sh, or name it with --qemu"
    )]
    Qemu {
        /// The program.
        program: String,
        /// The system's word.
        source: io::Error,
    },
}

impl StartError {
    fn qemu(program: &Path, source: io::Error) -> Self {
        Self::Qemu {
            program: program.display().to_string(),
            source,
        }
    }
}

/// Can this QEMU be executed? A name without a slash is looked for in `PATH`, as [`Guest::start`] does.
///
/// # Errors
/// [`StartError::Qemu`].
pub fn find(program: &Path) -> Result<(), StartError> {
    let executable = |path: &Path| {
        access(path, Access::EXEC_OK)?;
        if path.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        Ok(())
    };
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        return executable(program).map_err(|source| StartError::qemu(program, source));
    }
    let path = std::env::var_os("PATH");
    if std::env::split_paths(path.as_deref().unwrap_or(OsStr::new("/bin:/usr/bin")))
        .any(|folder| executable(&folder.join(program)).is_ok())
    {
        Ok(())
    } else {
        let source = io::Error::from(rustix::io::Errno::NOENT);
        Err(StartError::qemu(program, source))
    }
}

/// Ends one QEMU from any thread, at any time: also when another waits for it, or when it has ended long ago.
#[derive(Debug, Clone)]
pub struct Killer(Arc<Mutex<Option<Pid>>>);

impl Killer {
    /// Ends QEMU at once. Harmless when it has ended already; never blocks.
    pub fn kill(&self) {
        // The lock is held so that the number cannot be given to another process meanwhile.
        if let Some(pid) = *self.lock() {
            // The only error is that it has ended already.
            kill_process(pid, Signal::KILL).unwrap_or_default();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pid>> {
        // Nothing under the lock can leave it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running QEMU. Dropping it kills that process, and no other.
#[derive(Debug)]
pub struct Guest {
    child: Child,
    killer: Killer,
}

impl Guest {
    /// Starts QEMU, which never outlives this process. `heard` gets what the guest and QEMU say, from two threads that end with QEMU.
    ///
    /// # Errors
    /// [`StartError`]. An image or option that QEMU does not like is no error here: QEMU starts, says so and ends.
    pub fn start(
        vm: &Vm,
        heard: impl Fn(Said) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let mut command = Command::new(&vm.qemu);
        command
            .args(vm.command_line()?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child =
            offspring::spawn(command).map_err(|source| StartError::qemu(&vm.qemu, source))?;
        let killer = Killer(Arc::new(Mutex::new(Some(Pid::from_child(&child)))));
        let heard = Arc::new(heard);
        let errors = child.stderr.take().map(|stderr| {
            let heard = Arc::clone(&heard);
            thread::spawn(move || read_lines(stderr, |line| heard(Said::Qemu(line))))
        });
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                read_lines(stdout, |line| heard(Said::Console(line)));
                // QEMU's reason for ending, if it gave one, is heard before the end.
                if let Some(errors) = errors {
                    drop(errors.join());
                }
                heard(Said::End);
            });
        }
        Ok(Self { child, killer })
    }

    /// Returns what ends this QEMU from another thread.
    pub fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for QEMU to end. Blocks: meant for after [`Said::End`] or [`Guest::kill`].
    ///
    /// # Errors
    /// The system's, if the process cannot be waited for.
    pub fn wait(&mut self) -> io::Result<Ended> {
        // First without releasing the process id: a killer may use it until it is taken away under the lock.
        let pid = *self.killer.lock();
        if let Some(pid) = pid {
            let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            rustix::io::retry_on_intr(|| waitid(WaitId::Pid(pid), ended))?;
            *self.killer.lock() = None;
        }
        self.child.wait().map(Ended::from)
    }

    /// Ends QEMU at once. Harmless when it has ended already.
    pub fn kill(&mut self) {
        self.killer.kill();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
        drop(self.wait());
    }
}

/// Reads until the end and gives each line, bytes that are not UTF-8 replaced; the last one also if it was cut.
fn read_lines(mut from: impl Read, mut each: impl FnMut(String)) {
    let mut splitter = Splitter::default();
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => splitter.feed(&buffer[..length], |piece| {
                each(match piece {
                    Piece::Line(line) => String::from_utf8_lossy(line).into_owned(),
                    Piece::TooLong(bytes) => format!("(a line of {bytes} bytes left out)"),
                });
            }),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    if splitter.is_cut() {
        each(String::from_utf8_lossy(splitter.rest()).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code_and_signal: i32) -> Ended {
        Ended::from(ExitStatus::from_raw(code_and_signal))
    }

    #[test]
    fn a_status_says_how_the_guest_ended() {
        assert_eq!(ended(0), Ended::Off);
        assert_eq!(ended(1 << 8), Ended::Failure);
        assert_eq!(ended(3 << 8), Ended::Success);
        assert_eq!(ended(2 << 8), Ended::Other(2));
        assert_eq!(ended(9), Ended::Signal(9));
    }

    #[test]
    fn a_program_is_found_by_path_or_by_name_and_only_if_it_can_be_executed() {
        for program in ["/bin/sh", "sh"] {
            assert!(find(Path::new(program)).is_ok(), "{program}");
        }
        for program in ["/nowhere/qemu", "no-such-qemu", "/tmp", "/etc/passwd", ""] {
            let error = find(Path::new(program)).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("cannot run {program:?}: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_console_is_read_line_by_line_and_its_cut_end_too() {
        let mut lines = Vec::new();
        read_lines(&b"one\r\ntwo\n\xfftail"[..], |line| lines.push(line));
        assert_eq!(lines, ["one", "two", "\u{fffd}tail"]);
    }
}
