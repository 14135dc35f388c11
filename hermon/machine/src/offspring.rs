//! A child process that never outlives this one, however this one ends.
//!
//! The kernel sends the child SIGKILL when its parent is gone (`PR_SET_PDEATHSIG`, Linux only), so a SIGKILL of the
//! parent leaves nobody behind. Two traps, both in `PR_SET_PDEATHSIG(2const)`: "parent" is the *thread* that forked, so
//! all children are forked by one thread that never ends; and a parent that ended before the child's call is never
//! noticed, so the child looks once, afterwards. The setting is not inherited: what the child forks is on its own.

use std::io;
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::thread;

type Order = (Command, SyncSender<io::Result<Child>>);

/// The thread that forks. It ends with the process: its sender is never dropped.
static PARENT: LazyLock<Sender<Order>> = LazyLock::new(|| {
    let (to, orders) = channel::<Order>();
    thread::spawn(move || {
        for (mut command, answer) in orders {
            // Whoever gave the order waits for the answer.
            drop(answer.send(command.spawn()));
        }
    });
    to
});

/// Starts a program that is killed when this process ends.
///
/// # Errors
/// The system's, as [`Command::spawn`] gives them.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    #[cfg(target_os = "linux")]
    die_with_parent(&mut command);
    let (answer, child) = sync_channel(1);
    let gone = || io::Error::other("the thread that starts programs has ended");
    PARENT.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "the only way to run something between fork and exec"
)]
fn die_with_parent(command: &mut Command) {
    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;

    let parent = getpid();
    let before_exec = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(Errno::SRCH.into())
        }
    };
    // SAFETY: the closure runs in the forked child, where other threads' locks may be held permanently. It makes two
    // system calls and compares two numbers: it allocates nothing, takes no lock and touches no memory of others.
    unsafe {
        command.pre_exec(before_exec);
    }
}
