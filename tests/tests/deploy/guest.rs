//! Runs several images at once, each with a name and a transport.
//!
//! The gate of the boot tests lets as many guests run as there are cores. Here more run at once, so a test takes the whole gate and
//! counts its guests itself.

use core::fmt;
use std::sync::mpsc::{Receiver, channel};

use hermon_machine::guest::{Guest, Said};
use hermon_machine::qemu::{Accel, HOST_SEEN_BY_GUEST, Machine, Memory, Net, Nic, Vm};
use hermon_machine::tsc;
use tests::DEADLINE;
use tests::image::{self, Heap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// A running image. It is killed on drop; in a failing test it prints its console.
#[derive(Debug)]
pub struct Image {
    pub name: String,
    guest: Guest,
    from: Receiver<Said>,
    said: Vec<String>,
}

impl Image {
    /// Boots an image that sends to Telegraf on this port of the host.
    ///
    /// # Panics
    /// Panics if there is no image, or QEMU cannot be started.
    pub fn boot(name: &str, transport: Transport, port: u16, arguments: &str) -> Self {
        let target = format!("--influx={transport}://{HOST_SEEN_BY_GUEST}:{port}");
        let mut words: Vec<String> = vec![target, format!("--vm={name}")];
        words.extend(arguments.split_whitespace().map(str::to_owned));
        let vm = Vm {
            qemu: std::env::var_os("QEMU")
                .unwrap_or_else(|| "qemu-system-x86_64".into())
                .into(),
            image: image::path(Heap::Talc),
            machine: Machine::Q35,
            accel: Accel::Tcg,
            cpu: None,
            memory: Memory::mib(64).expect("not 0"),
            nic: Nic::Default(Net::User(Vec::new())),
            debug_exit: true,
            qmp: None,
            tsc_mhz: tsc::mhz(),
            arguments: words,
        };
        let (to, from) = channel();
        let guest = Guest::start(&vm, move |said| drop(to.send(said)))
            .unwrap_or_else(|error| panic!("{error}"));
        Self {
            name: name.to_owned(),
            guest,
            from,
            said: Vec::new(),
        }
    }

    /// Waits for a line on the console that contains `part`, among the lines not waited for yet.
    ///
    /// # Panics
    /// Panics if the image ends or the deadline passes before.
    pub fn wait_for(&mut self, part: &str) {
        while self.hear(part) {
            if self.said.last().is_some_and(|line| line.contains(part)) {
                return;
            }
        }
        panic!("{} ended before {part:?}", self.name);
    }

    /// Ends the image as a power failure would.
    pub fn kill(&mut self) {
        self.guest.kill();
    }

    fn hear(&mut self, what: &str) -> bool {
        match self.from.recv_timeout(DEADLINE) {
            Ok(Said::Console(line) | Said::Qemu(line)) => self.said.push(line),
            Ok(Said::End) => return false,
            Err(error) => panic!("{}: waiting for {what:?}: {error}", self.name),
        }
        true
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the console of {}: {:#?}", self.name, self.said);
        }
    }
}
