//! `hermon run`: boots an image; its console and its metrics in one terminal.

use core::net::Ipv4Addr;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;

use clap::ValueEnum;
use thiserror::Error;

use crate::application;
use crate::cli::{AccelChoice, Exit, Heap, RunOptions};
use crate::guest::{Ended, Guest, Said, StartError};
use crate::probe;
use crate::qemu::{Accel, Net, Nic, Vm};
use crate::receive::{Arrival, BindError, MAX_WAITING, Port};
use crate::show::{Origin, Show};
use crate::tally::Tally;
use crate::tsc;
use crate::watch::colour;

/// How long it must have been quiet after the guest's end before nothing more is expected. What it sent last is on its
/// way through the loopback interface, and so is a Ctrl-C that ended QEMU first.
const QUIET: Duration = Duration::from_millis(100);

/// Why no guest could be run.
#[derive(Debug, Error)]
pub enum RunError {
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
    #[error(
        "cannot listen on tcp port 127.0.0.1:{port}: {source}: choose another with {option} PORT"
    )]
    Forward {
        /// The port.
        port: u16,
        /// The option that sets it.
        option: &'static str,
        /// The system's word.
        source: io::Error,
    },
    /// The port for metrics cannot be had.
    #[error("{0}: choose another with --influx-port PORT")]
    Influx(#[from] BindError),
    /// QEMU did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// Ctrl-C cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(#[from] ctrlc::Error),
    /// The output cannot be written, or QEMU not waited for.
    #[error("{0}")]
    System(#[from] io::Error),
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

/// Boots the image and shows what it says and sends, until it ends or Ctrl-C ends it.
///
/// # Errors
/// [`RunError`], before the guest runs or when the output is closed; the guest is ended then.
pub fn run(options: &RunOptions) -> Result<Exit, RunError> {
    let image = match &options.image {
        Some(image) => image.clone(),
        None => build(&options.build, options.heap)?,
    };
    if !image.is_file() {
        return Err(RunError::Image(image));
    }
    let forwards = application::forwards(
        &options.arguments,
        options.control_port,
        options.memtrace_port,
    );
    for (port, option) in [
        (options.control_port, "--control-port"),
        (options.memtrace_port, "--memtrace-port"),
    ] {
        if forwards.iter().any(|forward| forward.host == port) {
            check_free(port, option)?;
        }
    }

    let mut show = Show::new(io::stdout(), colour(options.plain));
    let (to, from) = sync_channel(MAX_WAITING);
    let mut arguments = options.arguments.clone();
    let mut lost = None;
    if let Some(target) = application::value_of(&options.arguments, "--influx") {
        show.line(
            Origin::Hermon,
            format_args!("metrics go to {target} as given, they are not shown here"),
        )?;
    } else {
        let port = Port::open((Ipv4Addr::LOCALHOST, options.influx_port).into())?;
        let scheme = if options.tcp { "tcp" } else { "udp" };
        arguments.splice(0..0, application::influx(scheme, port.address().port()));
        show.line(
            Origin::Hermon,
            format_args!("metrics arrive at {} by {scheme}", port.address()),
        )?;
        lost = Some(port.start(to.clone()));
    }
    for forward in &forwards {
        show.line(
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
        tsc_mhz: tsc::mhz(),
        arguments,
    };
    let (accel, why) = choose(options.accel, &vm);
    vm.accel = accel;
    show.line(
        Origin::Hermon,
        format_args!("{} runs under {accel}: {why}", vm.image.display()),
    )?;

    ctrlc::set_handler({
        let to = to.clone();
        // Nobody waits any more only when the end has begun.
        move || drop(to.send(Event::Interrupted))
    })?;
    let mut guest = Guest::start(&vm, move |said| drop(to.send(Event::Said(said))))?;

    let mut tally = Tally::default();
    let (mut ended, mut interrupted) = (false, false);
    loop {
        let event = if ended {
            from.recv_timeout(QUIET).ok()
        } else {
            from.recv().ok()
        };
        match event {
            Some(Event::Arrival(arrival)) => show.arrival(&arrival, &mut tally)?,
            Some(Event::Said(Said::Console(line))) => show.line(Origin::Console, line)?,
            Some(Event::Said(Said::Qemu(line))) => show.line(Origin::Qemu, line)?,
            Some(Event::Said(Said::End)) => ended = true,
            Some(Event::Interrupted) => {
                interrupted = true;
                // Its outputs close, which ends the loop.
                guest.kill();
            }
            None => break,
        }
    }
    let end = guest.wait()?;
    if let Some(lost) = lost {
        tally.lost = lost.load(Ordering::Relaxed);
        show.line(Origin::Hermon, tally)?;
    }
    if interrupted {
        show.line(Origin::Hermon, "ended by Ctrl-C")?;
        return Ok(Exit::Interrupted);
    }
    show.line(Origin::Hermon, end)?;
    Ok(if end == Ended::Success {
        Exit::Success
    } else {
        Exit::Guest
    })
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

/// QEMU would only say that it could not set up a rule. Another process may still take the port in between; then QEMU
/// says so.
fn check_free(port: u16, option: &'static str) -> Result<(), RunError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .map(drop)
        .map_err(|source| RunError::Forward {
            port,
            option,
            source,
        })
}

fn choose(choice: AccelChoice, vm: &Vm) -> (Accel, String) {
    match choice {
        AccelChoice::Tcg => (Accel::Tcg, "as given".to_owned()),
        AccelChoice::Kvm => (Accel::Kvm, "as given".to_owned()),
        AccelChoice::Auto => match probe::kvm(vm) {
            Ok(()) => (Accel::Kvm, "a probe boot with it worked".to_owned()),
            Err(why) => (Accel::Tcg, why.to_string()),
        },
    }
}
