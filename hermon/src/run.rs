//! `hermon run`: boots an image; its console and its metrics in one terminal.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use clap::ValueEnum;
use thiserror::Error;

use crate::application;
use crate::cli::{AccelChoice, Exit, Heap, RunOptions};
use crate::control::Addresses;
use crate::desk::{Desk, DeskError};
use crate::ending::Ending;
use crate::guest::{self, Ended, Guest, Said, StartError};
use crate::ports::{self, Named, SamePort, TakenPort};
use crate::probe::{self, NoKvm};
use crate::qemu::{Accel, Forward, Net, Nic, Vm};
use crate::receive::{Arrival, BindError, MAX_WAITING, Port};
use crate::show::Origin;
use crate::tsc;
use crate::web::Controls;

/// How long it must have been quiet after the guest's end before nothing more is expected. What it sent last is on its
/// way through the loopback interface, and so is a Ctrl-C that ended QEMU first.
const QUIET: Duration = Duration::from_millis(100);

/// How long to wait for that quiet: others may send to the port of the metrics, too.
const LINGER: Duration = Duration::from_millis(500);

/// QEMU's words that are kept to say why it ran no guest. It needs one line or two.
const MAX_WORDS: usize = 4;

/// Why no guest could be run.
#[derive(Debug, Error)]
pub enum RunError {
    /// Two ports are the same.
    #[error(transparent)]
    SamePort(#[from] SamePort),
    /// The image could not be built.
    #[error("{program} did not build an image ({why}): see what it said above")]
    Build {
        /// What was to build it.
        program: String,
        /// How that went.
        why: String,
    },
    /// There is no such image.
    #[error("there is no image {0}: build one with scripts/build.sh")]
    Image(PathBuf),
    /// A port that should lead into the guest cannot be had.
    #[error(transparent)]
    Forward(#[from] TakenPort),
    /// The port for metrics cannot be had.
    #[error("{0}: choose another with --influx-port PORT")]
    Influx(#[from] BindError),
    /// QEMU did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// QEMU ended before the guest ran; its words.
    #[error("qemu ran no guest: {0}")]
    Qemu(String),
    /// Ctrl-C cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    /// QEMU cannot be waited for.
    #[error("cannot wait for qemu: {0}")]
    Wait(io::Error),
    /// What it should be shown or kept with.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

impl RunError {
    /// How the tool ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::SamePort(_) => Exit::Arguments,
            _ => Exit::Machine,
        }
    }
}

enum Event {
    Arrival(Arrival),
    Said(Said),
    Interrupted,
}

impl From<Arrival> for Event {
    fn from(arrival: Arrival) -> Self {
        Self::Arrival(arrival)
    }
}

/// Boots the image and shows what it says and sends, until it ends or Ctrl-C, SIGTERM or SIGHUP ends it.
///
/// # Errors
/// [`RunError`], before the guest runs or when the output is closed; the guest is ended then.
pub fn run(options: &RunOptions) -> Result<Exit, RunError> {
    let forwards = application::forwards(
        &options.arguments,
        options.control_port,
        options.memtrace_port,
    );
    let forwarded: Vec<Named> = [
        (options.control_port, "--control-port"),
        (options.memtrace_port, "--memtrace-port"),
    ]
    .map(|(port, option)| Named { port, option })
    .into_iter()
    .filter(|named| forwards.iter().any(|forward| forward.host == named.port))
    .collect();
    // The port for metrics is opened for both transports.
    let influx = match application::value_of(&options.arguments, "--influx") {
        Some(_) => None,
        None => Some(Named {
            port: options.influx_port,
            option: "--influx-port",
        }),
    };
    let all: Vec<Named> = forwarded.iter().copied().chain(influx).collect();
    ports::all_different(&all)?;

    let image = match &options.image {
        Some(image) => image.clone(),
        None => build(&options.build, options.heap)?,
    };
    if !image.is_file() {
        return Err(RunError::Image(image));
    }
    guest::find(&options.qemu)?;

    let (to, from) = sync_channel(MAX_WAITING);
    // After the build: until then a Ctrl-C ends the builder and this process together, as in any shell.
    let ending = Ending::on_signals({
        let to = to.clone();
        // When the channel is full, nobody needs to be woken.
        move || drop(to.try_send(Event::Interrupted))
    })
    .map_err(RunError::Signals)?;
    let held = ports::hold(&forwarded)?;
    let metrics = match influx {
        Some(influx) => Some(Port::open((Ipv4Addr::LOCALHOST, influx.port).into())?),
        None => None,
    };
    // QEMU opens them again.
    drop(held);

    let prepared = Prepared {
        image,
        forwards,
        metrics,
    };
    match session(options, prepared, to, &from, &ending) {
        // A terminal that is gone takes no last words.
        Err(RunError::Output(_)) if ending.cause().is_some() => Ok(Exit::Interrupted),
        result => result,
    }
}

/// What a session starts from.
struct Prepared {
    image: PathBuf,
    forwards: Vec<Forward>,
    /// `None`: the user sends them elsewhere.
    metrics: Option<Port>,
}

/// From the first line shown to the last.
fn session(
    options: &RunOptions,
    prepared: Prepared,
    to: SyncSender<Event>,
    from: &Receiver<Event>,
    ending: &Ending,
) -> Result<Exit, RunError> {
    let Prepared {
        image,
        forwards,
        metrics,
    } = prepared;
    let title = match &metrics {
        Some(port) => format!("{}, metrics at {}", image.display(), port.address()),
        None => image.display().to_string(),
    };
    let token = application::value_of(&options.arguments, "--token").map(str::to_owned);
    let controls = Controls::at(&led(options.control_port, &forwards), token.as_ref());
    let traces = led(options.memtrace_port, &forwards);
    let mut desk = Desk::open(&options.desk, &title, controls, traces, ending)?;
    desk.say_page()?;
    let mut arguments = options.arguments.clone();
    let received = metrics.is_some();
    if let Some(port) = metrics {
        let scheme = if options.tcp { "tcp" } else { "udp" };
        arguments.splice(0..0, application::influx(scheme, port.address().port()));
        desk.line(
            Origin::Hermon,
            format_args!("metrics arrive at {} by {scheme}", port.address()),
        )?;
        let address = port.address();
        desk.watches(address, port.start(to.clone()));
    } else if let Some(target) = application::value_of(&options.arguments, "--influx") {
        desk.line(
            Origin::Hermon,
            format_args!("metrics go to {target} as given, they are not shown here"),
        )?;
    }
    for forward in &forwards {
        desk.line(
            Origin::Hermon,
            format_args!(
                "127.0.0.1:{} leads to the guest's port {}",
                forward.host, forward.guest
            ),
        )?;
    }

    let mut vm = Vm {
        qemu: options.qemu.clone(),
        image,
        machine: options.machine,
        accel: Accel::Tcg,
        cpu: options.cpu.clone(),
        memory: options.memory,
        nic: Nic::Default(Net::User(forwards)),
        debug_exit: true,
        qmp: None,
        tsc_mhz: tsc::mhz(),
        arguments,
    };
    let (accel, why) = choose(options.accel, &vm, ending)?;
    if let Some(cause) = ending.cause() {
        desk.leave(options.desk.plain)?;
        desk.line(Origin::Hermon, format_args!("ended by {cause}"))?;
        return Ok(Exit::Interrupted);
    }
    vm.accel = accel;
    desk.line(
        Origin::Hermon,
        format_args!("{} runs under {accel}: {why}", vm.image.display()),
    )?;

    let mut guest = Guest::start(&vm, move |said| drop(to.send(Event::Said(said))))?;
    ending.takes(guest.killer());
    let heard = hear(from, ending, &mut desk)?;
    let end = guest.wait().map_err(RunError::Wait)?;
    desk.leave(options.desk.plain)?;
    if received {
        desk.sum_up()?;
    }
    if let Some(cause) = ending.cause() {
        desk.line(Origin::Hermon, format_args!("ended by {cause}"))?;
        return Ok(Exit::Interrupted);
    }
    if let Some(words) = heard.why_no_guest_ran(end) {
        return Err(RunError::Qemu(words));
    }
    desk.line(Origin::Hermon, end)?;
    Ok(if end == Ended::Success {
        Exit::Success
    } else {
        Exit::Guest
    })
}

/// Where a port of this host leads to the guest, if it does.
fn led(host: u16, forwards: &[Forward]) -> Addresses {
    let any = forwards
        .iter()
        .find(|forward| forward.host == host)
        .map(|forward| (Ipv4Addr::LOCALHOST, forward.host).into());
    Addresses {
        any,
        ..Addresses::default()
    }
}

/// What was heard of the guest and of QEMU, as far as it tells whether a guest ran.
#[derive(Debug, Default)]
struct Heard {
    /// The guest has said something.
    console: bool,
    /// QEMU's first words that are no mere warnings.
    qemu: Vec<String>,
}

impl Heard {
    /// A status of 1 is the guest's failure, or QEMU's own: it then says why, and the guest says nothing.
    fn why_no_guest_ran(&self, end: Ended) -> Option<String> {
        (end == Ended::Failure && !self.console && !self.qemu.is_empty())
            .then(|| self.qemu.join("; "))
    }

    fn qemu(&mut self, line: &str) {
        if self.qemu.len() < MAX_WORDS && !line.contains(": warning: ") {
            self.qemu.push(line.to_owned());
        }
    }
}

/// Shows what comes until the guest's end, or until the end is asked for.
fn hear(from: &Receiver<Event>, ending: &Ending, desk: &mut Desk) -> Result<Heard, RunError> {
    let mut heard = Heard::default();
    let mut linger = None;
    loop {
        if ending.cause().is_some() {
            linger.get_or_insert_with(|| Instant::now() + LINGER);
        }
        let event = match linger {
            Some(until) => match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => None,
                left => from.recv_timeout(left.min(QUIET)).ok(),
            },
            None => from.recv().ok(),
        };
        match event {
            Some(Event::Arrival(arrival)) => desk.arrival(&arrival)?,
            Some(Event::Said(Said::Console(line))) => {
                heard.console = true;
                desk.line(Origin::Console, line)?;
            }
            Some(Event::Said(Said::Qemu(line))) => {
                heard.qemu(&line);
                desk.line(Origin::Qemu, line)?;
            }
            Some(Event::Said(Said::End)) => {
                linger.get_or_insert_with(|| Instant::now() + LINGER);
            }
            Some(Event::Interrupted) => {}
            None => return Ok(heard),
        }
    }
}

/// Builds the image; its path is the last line that the program prints.
fn build(program: &Path, heap: Heap) -> Result<PathBuf, RunError> {
    let failed = |why: String| RunError::Build {
        program: program.display().to_string(),
        why,
    };
    let heap = heap
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned());
    let output = Command::new(program)
        .args(["--heap", &heap])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .last()
        .map(PathBuf::from)
        .ok_or_else(|| failed("it printed no path".to_owned()))
}

fn choose(choice: AccelChoice, vm: &Vm, ending: &Ending) -> Result<(Accel, String), StartError> {
    Ok(match choice {
        AccelChoice::Tcg => (Accel::Tcg, "as given".to_owned()),
        AccelChoice::Kvm => (Accel::Kvm, "as given".to_owned()),
        AccelChoice::Auto => match probe::kvm(vm, |guest| ending.takes(guest)) {
            Ok(()) => (Accel::Kvm, "a probe boot with it worked".to_owned()),
            // TCG needs the same program.
            Err(NoKvm::Start(error)) => return Err(error),
            Err(why) => (Accel::Tcg, why.to_string()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_knows_the_ports_that_lead_to_the_guest_and_none_that_is_off() {
        let arguments = ["--memtrace-port=0".to_owned()];
        for (arguments, memtrace, want) in [
            (&[][..], 7, "127.0.0.1:7".parse().ok()),
            (&[], 0, None),
            (&arguments, 7, None),
        ] {
            let forwards = application::forwards(arguments, 6, memtrace);
            assert_eq!(led(memtrace, &forwards).of("any"), want);
            assert_eq!(led(6, &forwards).of("any"), "127.0.0.1:6".parse().ok());
        }
    }
}
