//! `hermon run`: boots an image, and shows its console and its metrics in one terminal.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Instant;

use clap::{Args, ValueEnum};
use hermon_machine::application;
use hermon_machine::guest::{self, Ended, Guest, Said, StartError};
use hermon_machine::ports::{self, Named};
use hermon_machine::probe::{self, NoKvm};
use hermon_machine::qemu::{Accel, Forward, Machine, Memory, Net, Nic, Vm};
use hermon_machine::tsc;

use crate::address::{Addresses, Each};
use crate::control::Control;
use crate::desk::{Desk, DeskOptions, Event, ears};
use crate::ending::Ending;
use crate::exit::{Exit, Failure};
use crate::receive::Port;
use crate::said::Origin;
use crate::taker::Taker;

/// The choice of the accelerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccelChoice {
    /// KVM if a probe boot of the image works with it, otherwise TCG
    Auto,
    /// KVM
    Kvm,
    /// QEMU's translator
    Tcg,
}

/// The heap that the demo image is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Heap {
    /// talc
    Talc,
    /// linked_list_allocator
    LinkedList,
}

/// Options of `hermon run`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The machine type
    #[arg(long, value_enum, default_value = "q35")]
    machine: Machine,
    /// The guest's memory, such as 24M or 8G; the demo image needs 24M
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    pub(crate) memory: Memory,
    /// QEMU's processor model; the most capable one if not given
    #[arg(long, value_name = "MODEL")]
    cpu: Option<String>,
    /// The accelerator, which executes the guest's instructions
    #[arg(long, value_enum, default_value = "auto")]
    accel: AccelChoice,
    /// Port on 127.0.0.1 that leads to the guest's control port; 0: none
    #[arg(long, value_name = "PORT", default_value_t = application::CONTROL_PORT)]
    control_port: u16,
    /// Port on 127.0.0.1 that leads to the guest's port for traces; 0: none
    #[arg(long, value_name = "PORT", default_value_t = application::MEMTRACE_PORT)]
    memtrace_port: u16,
    /// Port on 127.0.0.1 where metrics are received; 0: any free one
    #[arg(long, value_name = "PORT", default_value_t = 8094)]
    influx_port: u16,
    /// The guest sends its metrics by UDP (the default)
    #[arg(long, conflicts_with = "tcp")]
    udp: bool,
    /// The guest sends its metrics by TCP
    #[arg(long)]
    tcp: bool,
    /// The heap to build the image with
    #[arg(long, value_enum, default_value = "talc", conflicts_with = "image")]
    heap: Heap,
    #[command(flatten)]
    pub(crate) desk: DeskOptions,
    /// The image to boot, as it is
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// The program that builds the image if none is given; it gets `--heap NAME` and prints the image's path last
    #[arg(long, value_name = "PROGRAM", default_value = "scripts/build.sh")]
    build: PathBuf,
    /// The QEMU to run
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "qemu-system-x86_64",
        env = "QEMU"
    )]
    qemu: PathBuf,
    /// Arguments of the application
    #[arg(last = true, value_name = "APPLICATION ARGUMENTS")]
    pub(crate) arguments: Vec<String>,
}

/// The time without any output after the guest's end, after which nothing more is expected. The guest's last data is on
/// its way through the loopback interface, and so is a Ctrl-C that ended QEMU first.
const QUIET: Duration = Duration::from_millis(100);

/// The time limit of waiting for that: other senders may use the port for metrics, too.
const LINGER: Duration = Duration::from_millis(500);

/// The number of QEMU's lines that are kept to say why it ran no guest. It needs one or two.
const MAX_WORDS: usize = 4;

/// Boots the image and shows its console and its metrics, until it ends or Ctrl-C, SIGTERM or SIGHUP ends it. A failure
/// ends the guest, too.
pub(crate) fn run(options: &Options) -> Result<Exit, Failure> {
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
    ports::all_different(&all).map_err(|same| Failure::Line(Exit::Arguments, same.to_string()))?;

    let image = match &options.image {
        Some(image) => image.clone(),
        None => build(&options.build, options.heap)?,
    };
    if !image.is_file() {
        let image = image.display();
        return Err(Failure::machine(format_args!(
            "there is no image {image}: build one with scripts/build.sh"
        )));
    }
    guest::find(&options.qemu)?;

    // After the build: before, a Ctrl-C ends the builder and this process together, as in any shell.
    let (to, from, ending) = ears()?;
    let held = ports::hold(&forwarded)?;
    let metrics = influx.map(|influx| {
        Port::open((Ipv4Addr::LOCALHOST, influx.port).into()).map_err(|error| {
            Failure::machine(format_args!(
                "{error}: choose another with --influx-port PORT"
            ))
        })
    });
    let metrics = metrics.transpose()?;
    // QEMU opens them again.
    drop(held);

    let prepared = Prepared {
        image,
        forwards,
        metrics,
    };
    match session(options, prepared, to, &from, &ending) {
        // A terminal that is gone accepts no last lines.
        Err(Failure::Output(_)) if ending.cause().is_some() => Ok(Exit::Interrupted),
        result => result,
    }
}

/// The parts from which a session starts.
struct Prepared {
    image: PathBuf,
    forwards: Vec<Forward>,
    /// `None`: the user sends the metrics elsewhere.
    metrics: Option<Port>,
}

/// Runs a session, from the first line shown to the last.
fn session(
    options: &Options,
    prepared: Prepared,
    to: SyncSender<Event>,
    from: &Receiver<Event>,
    ending: &Ending,
) -> Result<Exit, Failure> {
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
    let controls =
        led(options.control_port, &forwards).map(|&address| Control::new(address, token.clone()));
    let taker = Taker::new(led(options.memtrace_port, &forwards), token.clone());
    let mut desk = Desk::open(&options.desk, &title, controls, taker, ending)?;
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
        desk.watches(port.start(to.clone()));
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
        desk.leave()?;
        desk.line(Origin::Hermon, format_args!("ended by {cause}"))?;
        desk.finish()?;
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
    let end = guest
        .wait()
        .map_err(Failure::system("cannot wait for qemu"))?;
    desk.leave()?;
    if received {
        desk.sum_up()?;
    }
    if let Some(cause) = ending.cause() {
        desk.line(Origin::Hermon, format_args!("ended by {cause}"))?;
        desk.finish()?;
        return Ok(Exit::Interrupted);
    }
    if let Some(words) = heard.why_no_guest_ran(end) {
        desk.finish()?;
        return Err(Failure::machine(format_args!("qemu ran no guest: {words}")));
    }
    desk.line(Origin::Hermon, end)?;
    desk.finish()?;
    Ok(if end == Ended::Success {
        Exit::Success
    } else {
        Exit::Guest
    })
}

/// Returns the address of the host's port that leads to the guest, if there is one.
fn led(host: u16, forwards: &[Forward]) -> Addresses {
    let leads = forwards.iter().any(|forward| forward.host == host);
    Each::of_all(leads.then(|| (Ipv4Addr::LOCALHOST, host).into()))
}

/// The output of the guest and of QEMU, as far as it says whether a guest ran.
#[derive(Debug, Default)]
struct Heard {
    /// `true` if the guest has printed a line.
    console: bool,
    /// QEMU's first lines that are not mere warnings.
    qemu: Vec<String>,
}

impl Heard {
    /// Returns the reason why no guest ran, if none did. A status of 1 is the guest's failure or QEMU's own. If it is
    /// QEMU's, QEMU prints the reason and the guest prints nothing.
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

/// Shows events until the guest's end, or until the end is asked for.
fn hear(from: &Receiver<Event>, ending: &Ending, desk: &mut Desk) -> Result<Heard, Failure> {
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

/// Builds the image. Its path is the last line that the program prints.
fn build(program: &Path, heap: Heap) -> Result<PathBuf, Failure> {
    let failed = |why: String| {
        let program = program.display();
        Failure::machine(format_args!(
            "{program} did not build an image ({why}): see what it said above"
        ))
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
            assert_eq!(led(memtrace, &forwards).of("any"), want.as_ref());
            let control = led(6, &forwards);
            assert_eq!(control.of("any"), "127.0.0.1:6".parse().ok().as_ref());
        }
    }
}
