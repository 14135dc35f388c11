//! A guest from its description to its end.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::path::PathBuf;
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

/// A guest to be booted: under TCG, with 64 MiB, `isa-debug-exit`, talc, and the machine's own NIC on a user network.
#[derive(Debug, Clone)]
pub struct Boot {
    vm: Vm,
    alone: bool,
}

impl Boot {
    /// A guest of this machine type.
    ///
    /// # Panics
    /// If there is no image.
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

    /// More arguments for the application, divided by blanks.
    #[must_use]
    pub fn arguments(mut self, words: &str) -> Self {
        self.vm
            .arguments
            .extend(words.split_whitespace().map(str::to_owned));
        self
    }

    /// One more argument for the application, as it is.
    #[must_use]
    pub fn argument(mut self, word: impl Into<String>) -> Self {
        self.vm.arguments.push(word.into());
        self
    }

    /// With this processor model.
    #[must_use]
    pub fn cpu(mut self, model: &str) -> Self {
        self.vm.cpu = Some(model.to_owned());
        self
    }

    /// With this much memory, in MiB.
    #[must_use]
    pub fn memory(mut self, mebibytes: u32) -> Self {
        self.vm.memory = mib(mebibytes);
        self
    }

    /// With this NIC.
    #[must_use]
    pub fn nic(mut self, nic: Nic) -> Self {
        self.vm.nic = nic;
        self
    }

    /// With the image that has this heap.
    #[must_use]
    pub fn heap(mut self, heap: Heap) -> Self {
        self.vm.image = image::path(heap);
        self
    }

    /// With the image in this file.
    #[must_use]
    pub fn image(mut self, path: PathBuf) -> Self {
        self.vm.image = path;
        self
    }

    /// With the image that does what the value of `--vm` names (`tests/guest`).
    #[must_use]
    pub fn doing(mut self, task: &str) -> Self {
        self.vm.image = image::guest();
        self.argument(format!("--vm={task}"))
    }

    /// With this image of `examples/`.
    #[must_use]
    pub fn example(mut self, name: &str) -> Self {
        self.vm.image = image::example(name);
        self
    }

    /// Without the device that tells success from failure.
    #[must_use]
    pub fn without_debug_exit(mut self) -> Self {
        self.vm.debug_exit = false;
        self
    }

    /// With a socket on which QEMU takes commands: see [`Running::qmp`].
    #[must_use]
    pub fn commanded(mut self) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        self.vm.qmp = Some(std::env::temp_dir().join(format!("qmp-{process}-{number}")));
        self
    }

    /// While no other guest runs: for measurements.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Boots it, when its turn has come.
    ///
    /// # Panics
    /// If QEMU cannot be started.
    pub fn start(self) -> Running {
        let turn = if self.alone {
            Turn::alone()
        } else {
            Turn::shared()
        };
        let (to, from) = channel();
        let started = Instant::now();
        // The end of the channel is the end of the test.
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

/// A guest that was booted. Dropped in a failing test, it prints what it said; it never outlives the test.
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
    /// Waits for a line on the console that contains `part`, among those not yet waited for, and gives it.
    ///
    /// # Panics
    /// If the guest ends or the deadline passes before.
    pub fn wait_for(&mut self, part: &str) -> String {
        self.wait_for_at(part, DEADLINE).1
    }

    /// As [`Running::wait_for`], for so long; with the time since QEMU's start at which the line came.
    ///
    /// # Panics
    /// As [`Running::wait_for`].
    pub fn wait_for_at(&mut self, part: &str, patience: Duration) -> (Duration, String) {
        let deadline = Instant::now() + patience;
        loop {
            assert!(
                self.hear(deadline, &format!("waiting for {part:?}")),
                "the guest ended before {part:?}"
            );
            if let Some(last) = self.said.last()
                && last.1.contains(part)
            {
                return last.clone();
            }
        }
    }

    /// Waits until a line has come that contains `part`, before or after those that were waited for: for two lines that come in any order.
    ///
    /// # Panics
    /// As [`Running::wait_for`].
    pub fn has_said(&mut self, part: &str) {
        if !self.lines().any(|line| line.contains(part)) {
            self.wait_for(part);
        }
    }

    /// Waits until monitoring is ready; its line.
    ///
    /// # Panics
    /// As [`Running::wait_for`].
    pub fn ready(&mut self) -> String {
        self.wait_for("monitoring: ready")
    }

    /// Waits for the guest's end and says how it was.
    ///
    /// # Panics
    /// If the deadline passes before, or a signal killed QEMU.
    pub fn end(&mut self) -> Ended {
        let deadline = Instant::now() + DEADLINE;
        while !self.closed && self.hear(deadline, "waiting for the end") {}
        let ended = self.guest.wait().expect("QEMU can be waited for");
        assert!(!matches!(ended, Ended::Signal(_)), "{ended}");
        ended
    }

    /// Ends the guest as a power failure would.
    pub fn kill(&mut self) {
        self.guest.kill();
    }

    /// All lines until now, QEMU's own included.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.said.iter().map(|(_, line)| line.as_str())
    }

    /// A connection to QEMU itself, which was started as [`Boot::commanded`].
    ///
    /// # Panics
    /// If it was not, or does not answer.
    pub fn qmp(&self) -> Qmp {
        Qmp::connect(self.qmp.as_deref().expect("booted with commanded()"))
    }

    /// QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.guest.pid()
    }

    /// When QEMU was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The image that was booted.
    pub fn image(&self) -> &std::path::Path {
        &self.image
    }

    /// Takes one more thing that is said; `false` at the end.
    fn hear(&mut self, deadline: Instant, doing: &str) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let (at, said) = self
            .from
            .recv_timeout(left)
            .unwrap_or_else(|error| panic!("{doing}: {error}"));
        let line = match said {
            Said::Console(line) => line,
            Said::Qemu(line) => format!("qemu: {line}"),
            Said::End => {
                self.closed = true;
                return false;
            }
        };
        self.said.push((at.duration_since(self.started), line));
        true
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
        eprintln!("what the guest said, in seconds since QEMU's start:");
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
