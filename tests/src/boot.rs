//! Boots a guest, listens to its console and waits for its end.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use hermon_machine::guest::{Ended, Guest, Said};
use hermon_machine::qemu::{Accel, Machine, Memory, Net, Nic, Vm};
use hermon_machine::tsc;

use crate::gate::Turn;
use crate::image::{self, Heap};
use crate::qmp::Qmp;
use crate::{DEADLINE, symbols};

/// The description of a guest to boot: under TCG, with 64 MiB, `isa-debug-exit`, talc, and the machine's default NIC on a user
/// network.
#[derive(Debug, Clone)]
pub struct Boot {
    vm: Vm,
    alone: bool,
}

impl Boot {
    /// Describes a guest of this machine type.
    ///
    /// # Panics
    /// Panics if there is no image.
    pub fn new(machine: Machine) -> Self {
        static TSC: OnceLock<Option<u16>> = OnceLock::new();
        let vm = Vm {
            qemu: std::env::var_os("QEMU")
                .unwrap_or_else(|| "qemu-system-x86_64".into())
                .into(),
            image: image::path(Heap::Talc),
            machine,
            accel: Accel::Tcg,
            cpu: None,
            memory: mib(64),
            nic: Nic::Default(Net::User(Vec::new())),
            debug_exit: true,
            qmp: None,
            tsc_mhz: *TSC.get_or_init(tsc::mhz),
            arguments: Vec::new(),
        };
        Self { vm, alone: false }
    }

    /// Adds arguments for the application, separated by blanks.
    #[must_use]
    pub fn arguments(mut self, words: &str) -> Self {
        self.vm
            .arguments
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// Adds one argument for the application, unchanged.
    #[must_use]
    pub fn argument(mut self, word: impl Into<String>) -> Self {
        self.vm.arguments.push(word.into());
        self
    }

    /// Sets the processor model.
    #[must_use]
    pub fn cpu(mut self, model: &str) -> Self {
        self.vm.cpu = Some(model.to_owned());
        self
    }

    /// Sets the memory in MiB.
    #[must_use]
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.vm.memory = mib(mebibytes);
        self
    }

    /// Sets the NIC.
    #[must_use]
    pub fn nic(mut self, nic: Nic) -> Self {
        self.vm.nic = nic;
        self
    }

    /// Boots the image with this heap.
    #[must_use]
    pub fn heap(mut self, heap: Heap) -> Self {
        self.vm.image = image::path(heap);
        self
    }

    /// Boots the image in this file.
    #[must_use]
    pub fn image(mut self, path: PathBuf) -> Self {
        self.vm.image = path;
        self
    }

    /// Boots the image of `tests/guest` with the task that `--vm` names.
    #[must_use]
    pub fn doing(mut self, task: &str) -> Self {
        self.vm.image = image::guest();
        self.argument(format!("--vm={task}"))
    }

    /// Boots this image of `examples/`.
    #[must_use]
    pub fn example(mut self, name: &str) -> Self {
        self.vm.image = image::example(name);
        self
    }

    /// Leaves out the device that tells success from failure.
    #[must_use]
    pub fn without_debug_exit(mut self) -> Self {
        self.vm.debug_exit = false;
        self
    }

    /// Adds a socket on which QEMU takes commands: see [`Running::qmp`].
    #[must_use]
    pub fn commanded(mut self) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.vm.qmp = Some(std::env::temp_dir().join(format!("qmp-{process}-{number}")));
        self
    }

    /// Counts the guest's time by its instructions: each takes it a nanosecond, however fast this host is. So what the guest's
    /// clock says of its own work is exact. While the guest waits, its time passes as the host's does.
    #[must_use]
    pub fn counted(mut self) -> Self {
        self.vm.qemu = Path::new(env!("CARGO_MANIFEST_DIR")).join("counted.sh");
        self.vm.tsc_mhz = Some(1_000);
        self
    }

    /// Connects the console to the listener at this path, instead of this process's reader of lines. The name must not need quotes
    /// in a shell.
    ///
    /// # Panics
    /// Panics if no file can be written beside it.
    #[must_use]
    pub fn console_at(mut self, socket: &Path) -> Self {
        let script = socket.with_extension("sh");
        let (qemu, socket) = (self.vm.qemu.display(), socket.display());
        let text = format!("#!/bin/bash\nexec {qemu} \"${{@/#stdio/unix:{socket}}}\"\n");
        std::fs::write(&script, text).expect("a script");
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).expect("its owner");
        self.vm.qemu = script;
        self
    }

    /// Makes the guest run while no other guest runs, for measurements.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Boots the guest when its turn has come.
    ///
    /// # Panics
    /// Panics if QEMU cannot be started.
    pub fn start(self) -> Running {
        let turn = if self.alone {
            Turn::alone()
        } else {
            Turn::shared()
        };
        let (to, from) = channel();
        let started = Instant::now();
        // If the channel has ended, the test has ended.
        let guest = Guest::start(&self.vm, move |said| drop(to.send((Instant::now(), said))))
            .unwrap_or_else(|error| panic!("{error}"));
        Running {
            guest,
            from,
            started,
            said: Vec::new(),
            image: self.vm.image,
            qmp: self.vm.qmp,
            closed: false,
            _turn: turn,
        }
    }
}

fn mib(mebibytes: u32) -> Memory {
    Memory::mib(mebibytes).expect("not 0")
}

/// Calls `run` with a guest's running time in seconds until it returns something, each time for four times as long: on a busy host
/// a guest does little in its time.
///
/// # Panics
/// Panics if the longest run was too short.
pub fn long_enough<T>(seconds: u64, run: impl FnMut(u64) -> Option<T>) -> T {
    let times = (0..5).map(|doublings| seconds << (2 * doublings));
    let found = times.clone().find_map(run);
    found.unwrap_or_else(|| panic!("too little was done in {:?} s", times.collect::<Vec<_>>()))
}

/// A guest that was booted. If it is dropped in a failing test, it prints its console. It never outlives the test.
#[derive(Debug)]
pub struct Running {
    guest: Guest,
    from: Receiver<(Instant, Said)>,
    started: Instant,
    said: Vec<(Duration, String)>,
    image: PathBuf,
    qmp: Option<PathBuf>,
    closed: bool,
    _turn: Turn,
}

impl Running {
    /// Waits for a line on the console that contains `part`, among the lines not waited for yet, and returns it.
    ///
    /// # Panics
    /// Panics if the guest ends or the deadline passes before.
    pub fn wait_for(&mut self, part: &str) -> String {
        self.wait_for_at(part).1
    }

    /// Waits like [`Running::wait_for`], but returns `None` if the guest ends before.
    ///
    /// # Panics
    /// Panics if the deadline passes before.
    pub fn says(&mut self, part: &str) -> Option<String> {
        self.says_at(part).map(|(_, line)| line)
    }

    /// Waits like [`Running::wait_for`]. Returns also the time from QEMU's start to the line.
    ///
    /// # Panics
    /// Panics like [`Running::wait_for`].
    pub fn wait_for_at(&mut self, part: &str) -> (Duration, String) {
        let said = self.says_at(part);
        said.unwrap_or_else(|| panic!("the guest ended before {part:?}"))
    }

    fn says_at(&mut self, part: &str) -> Option<(Duration, String)> {
        let deadline = Instant::now() + DEADLINE;
        while self.hear(deadline, &format!("waiting for {part:?}")) {
            if let Some(last) = self.said.last()
                && last.1.contains(part)
            {
                return Some(last.clone());
            }
        }
        None
    }

    /// Waits until a line has come that contains `part`, also among the lines waited for before: for two lines that come in any
    /// order.
    ///
    /// # Panics
    /// Panics like [`Running::wait_for`].
    pub fn has_said(&mut self, part: &str) {
        if !self.lines().any(|line| line.contains(part)) {
            self.wait_for(part);
        }
    }

    /// Waits until monitoring is ready, and returns the line that says so.
    ///
    /// # Panics
    /// Panics like [`Running::wait_for`].
    pub fn ready(&mut self) -> String {
        self.wait_for("monitoring: ready")
    }

    /// Waits for the guest's end and returns how it ended.
    ///
    /// # Panics
    /// Panics if the deadline passes before, or if a signal killed QEMU.
    pub fn end(&mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        while !self.closed && self.hear(deadline, "waiting for the end") {}
        let ended = self.guest.wait().expect("QEMU can be waited for");
        assert!(!matches!(ended, Ended::Signal(_)), "{ended}");
        ended
    }

    /// Takes the lines that have come, without waiting. Returns whether the guest has ended.
    pub fn has_ended(&mut self) -> bool {
        while !self.closed
            && let Ok((at, said)) = self.from.try_recv()
        {
            self.take(at, said);
        }
        self.closed
    }

    /// Ends the guest as a power failure would.
    pub fn kill(&mut self) {
        self.guest.kill();
    }

    /// Returns all lines until now, QEMU's own included.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.said.iter().map(|(_, line)| line.as_str())
    }

    /// Connects to QEMU itself, which was started as [`Boot::commanded`].
    ///
    /// # Panics
    /// Panics if it was not, or does not answer.
    pub fn qmp(&self) -> Qmp {
        Qmp::connect(self.qmp.as_deref().expect("booted with commanded()"))
    }

    /// Returns QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.guest.pid()
    }

    /// Returns the time at which QEMU was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Returns the image that was booted.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Takes one more line; returns `false` at the end.
    fn hear(&mut self, deadline: Instant, doing: &str) -> bool {
        if self.closed {
            return false;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let (at, said) = self
            .from
            .recv_timeout(left)
            .unwrap_or_else(|error| panic!("{doing}: {error}"));
        self.take(at, said);
        !self.closed
    }

    fn take(&mut self, at: Instant, said: Said) {
        let line = match said {
            Said::Console(line) => line,
            Said::Qemu(line) => format!("qemu: {line}"),
            Said::End => {
                self.closed = true;
                return;
            }
        };
        self.said.push((at.duration_since(self.started), line));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(socket) = &self.qmp {
            drop(std::fs::remove_file(socket));
        }
        if !std::thread::panicking() {
            return;
        }
        while let Ok((at, said)) = self.from.try_recv() {
            if let Said::Console(line) | Said::Qemu(line) = said {
                self.said.push((at.duration_since(self.started), line));
            }
        }
        eprintln!("the guest's console, with seconds since QEMU's start:");
        for (at, line) in &self.said {
            eprintln!("{:>9.3}  {line}", at.as_secs_f64());
            let addresses = if line.contains("backtrace:") {
                symbols::addresses(line)
            } else {
                Vec::new()
            };
            for frame in symbols::frames(&self.image, &addresses) {
                eprintln!("             {frame}");
            }
        }
    }
}
