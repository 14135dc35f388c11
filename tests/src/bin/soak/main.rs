//! The soak: two images that send their metrics to `hermon watch`, one by UDP and one by TCP, with everything on, for minutes or
//! hours, while clients misbehave, hosts on the cable attack, and the link goes down and up.
//!
//! It passes if every line that an image has sent was shown, or lies in a time when the link was down, if operators got their
//! answers, and if neither side's memory grew. It prints a report of one page, which it leaves in `target/soak/report.txt`.
#![deny(unsafe_code)]

mod flaps;
mod machine;
mod mischief;
mod report;
mod watcher;
mod wire;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use self::flaps::Losses;
use self::machine::{By, Machine};
use self::report::{Image, Report};
use self::watcher::Watcher;

/// The time of a soak without an argument.
const USUAL_MINUTES: f64 = 20.0;

/// The time between two looks at the memory of both sides.
const LOOK: Duration = Duration::from_secs(5);

/// The time between two flaps of the link.
const FLAP_EVERY: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let minutes = match (
        arguments.next().map(|text| text.parse::<f64>()),
        arguments.next(),
    ) {
        (None, _) => USUAL_MINUTES,
        (Some(Ok(minutes)), None) if minutes > 0.0 && minutes < 1e6 => minutes,
        _ => {
            eprintln!("soak: usage: scripts/soak.sh [MINUTES]");
            return ExitCode::from(2);
        }
    };
    let report = soak(Duration::from_secs_f64(minutes * 60.0));
    print!("{report}");
    let saved = folder().join("report.txt");
    if let Err(error) = fs::write(&saved, report.to_string()) {
        eprintln!("soak: cannot write {}: {error}", saved.display());
    }
    if report.passed() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Returns the folder of the build's output, where the report and the database are left.
fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/soak")
}

fn soak(time: Duration) -> Report {
    fs::create_dir_all(folder()).expect("a folder for the report");
    let watcher = Watcher::start(&folder());
    let mut machines = [By::Udp, By::Tcp].map(|by| Machine::boot(by, watcher.port()));
    let mut losses = machines.each_ref().map(Losses::since);
    let mut live = machines.each_ref().map(|_| Vec::new());
    let mut hermon = Vec::new();
    let stop = Arc::new(AtomicBool::new(false));
    let mischief = mischief::start(&stop, &machines, &watcher);

    let began = Instant::now();
    let mut flapped = began;
    while began.elapsed() < time {
        thread::sleep(LOOK.min(time.saturating_sub(began.elapsed())));
        hermon.push(watcher.memory());
        for (machine, live) in machines.iter().zip(&mut live) {
            live.push(watcher.shown(machine.name()).live_bytes);
        }
        if flapped.elapsed() >= FLAP_EVERY {
            for (machine, losses) in machines.iter_mut().zip(&mut losses) {
                losses.flap(machine);
            }
            flapped = Instant::now();
        }
    }
    stop.store(true, Ordering::Relaxed);
    let done = mischief.into_iter().map(|client| client.join());
    let mischief = done.map(|done| done.expect("no panic")).collect();
    let took = began.elapsed();

    let mut images = Vec::new();
    for ((machine, mut losses), live) in machines.into_iter().zip(losses).zip(live) {
        let (lines, metrics) = machine.calm();
        losses.look(machine.by(), &lines);
        let (name, operator) = (machine.name(), machine.operator());
        let (frames, complaints) = machine.end();
        images.push(Image {
            name,
            lines,
            metrics,
            losses,
            shown: 0,
            operator,
            frames,
            complaints,
            live,
        });
    }
    let (shown, summary) = watcher.end();
    for image in &mut images {
        image.shown = shown.get(image.name).map_or(0, |shown| shown.lines);
    }
    Report {
        took,
        images,
        mischief,
        hermon,
        summary,
    }
}
