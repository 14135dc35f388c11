//! Gives the cases their turns and prints the table.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::cases::{Case, GROUPS, Process};
use crate::pin;

/// Starts of every case. The place of its memory changes the time, and differs with each start.
const STARTS: usize = 7;
/// Rounds after each start. A few slow rounds do not move the median of all.
const ROUNDS: usize = 81;
const WARM_UP: usize = 20;

/// The process of a case, which waits for its next turn.
struct Running {
    child: Child,
    turns: ChildStdin,
    times: BufReader<ChildStdout>,
}

impl Running {
    fn start(case: &Case, this: &Path) -> io::Result<Self> {
        let program = match case.process {
            Process::Beside(program) => this.with_file_name(program),
            Process::This(_) | Process::Jemalloc(_) => this.to_owned(),
        };
        let mut command = Command::new(&program);
        if let Process::Jemalloc(lg) = case.process {
            let off = || "prof:false".to_owned();
            let settings = lg.map_or_else(off, |lg| format!("prof:true,lg_prof_sample:{lg}"));
            command.env("_RJEM_MALLOC_CONF", settings);
        }
        command
            .arg(case.name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| io::Error::other(format!("{}: {error}", program.display())))?;
        Ok(Self {
            turns: child.stdin.take().expect("a pipe"),
            times: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        })
    }

    /// Returns nanoseconds per replaced block.
    fn turn(&mut self) -> io::Result<f64> {
        self.turns.write_all(b"\n")?;
        let mut line = String::new();
        self.times.read_line(&mut line)?;
        // Instead of a number, the process may write the reason why there is none.
        line.trim_end()
            .parse()
            .map_err(|_| io::Error::other(format!("ended early: {line}")))
    }

    /// Ends the process and returns what it reports.
    fn end(mut self) -> io::Result<String> {
        drop(self.turns);
        let mut recorded = String::new();
        self.times.read_to_string(&mut recorded)?;
        let recorded = recorded.trim_end().to_owned();
        let status = self.child.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("{recorded}, {status}")));
        }
        Ok(recorded)
    }
}

/// The results of a case.
#[derive(Default)]
struct Measured {
    /// Nanoseconds per replaced block, by round.
    nanos: Vec<f64>,
    recorded: String,
}

/// Runs all cases in turns. A case that cannot run or fails shows the reason in its row.
///
/// # Errors
/// If this program's file is gone, if it cannot stay on its core, or if printing fails.
pub fn print() -> io::Result<()> {
    let this = std::env::current_exe()?;
    pin::to_this_core()?;
    let cases: Vec<&Case> = GROUPS.into_iter().flatten().collect();
    let mut results: Vec<io::Result<Measured>> =
        cases.iter().map(|_| Ok(Measured::default())).collect();
    for _ in 0..STARTS {
        start(&cases, &this, &mut results);
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "{} blocks of 8 bytes to 8 KiB are alive; one at random is freed and another one allocated, {} calls deep.\n\
         Each case in a separate process, all on one core, in turns of {} blocks.\n\
         Medians over {} rounds, {ROUNDS} after each of {STARTS} starts; a ratio is with the same round of the group's first, the allocator alone.\n\
         Ours leaves what it records to a consumer, whose work is not in the times; the others put theirs in order on the spot.\n\
         Ours counts for {}; the others for several.\n",
        workload::BLOCKS,
        workload::DEPTH,
        workload::TURN,
        STARTS * ROUNDS,
        if !cfg!(feature = "one-core") {
            "several cores"
        } else {
            "one core, as in its image (for several: `--no-default-features`)"
        },
    )?;
    writeln!(
        out,
        "{:<28} {:<37} {:>8} {:>6}  deepest stack",
        "", "records", "a block", "ratio"
    )?;
    let mut results = results.into_iter();
    for group in GROUPS {
        let measured: Vec<_> = results.by_ref().take(group.len()).collect();
        let base = measured[0].as_ref().ok().map(|it| it.nanos.as_slice());
        for (case, measured) in group.iter().zip(&measured) {
            row(&mut out, case, measured, base)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// Starts the cases that have not failed, gives them turns and ends them.
fn start(cases: &[&Case], this: &Path, results: &mut [io::Result<Measured>]) {
    let mut running: Vec<Option<Running>> = Vec::new();
    for (case, result) in cases.iter().zip(results.iter_mut()) {
        running.push(attempt(result, |_| Running::start(case, this)));
    }
    for round in 0..WARM_UP + ROUNDS {
        for (process, result) in running.iter_mut().zip(results.iter_mut()) {
            let Some(process) = process else { continue };
            attempt(result, |measured| {
                let nanos = process.turn()?;
                if round >= WARM_UP {
                    measured.nanos.push(nanos);
                }
                Ok(())
            });
        }
    }
    for (process, result) in running.into_iter().zip(results) {
        let Some(process) = process else { continue };
        attempt(result, |measured| {
            measured.recorded = process.end()?;
            Ok(())
        });
    }
}

/// Runs the next step of a case, unless the case has failed.
fn attempt<T>(
    result: &mut io::Result<Measured>,
    step: impl FnOnce(&mut Measured) -> io::Result<T>,
) -> Option<T> {
    let measured = result.as_mut().ok()?;
    match step(measured) {
        Ok(value) => Some(value),
        Err(error) => {
            *result = Err(error);
            None
        }
    }
}

fn row(
    out: &mut impl Write,
    case: &Case,
    measured: &io::Result<Measured>,
    base: Option<&[f64]>,
) -> io::Result<()> {
    write!(out, "{:<28} {:<37}", case.name, case.records)?;
    let it = match measured {
        Ok(it) => it,
        Err(error) => return writeln!(out, " SKIPPED: {error}"),
    };
    let nanos = median(it.nanos.clone());
    let ratio = base.map_or_else(String::new, |base| {
        let ratios = it.nanos.iter().zip(base).map(|(value, base)| value / base);
        format!("{:.3}", median(ratios.collect()))
    });
    writeln!(out, " {nanos:>5.0} ns {ratio:>6}  {}", it.recorded)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
