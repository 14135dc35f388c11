//! The logger: records of the crate `log` as lines on a console, with levels per source that can be changed
//! while the image runs.
//!
//! ```text
//! [   12.345678 INFO  app::cache] evicted 17 entries
//!  └─ seconds since boot, 5 digits, and microseconds
//! ```
//!
//! The time is right-aligned for images that run for less than 28 hours, and grows to the left after that. The level is
//! padded to five letters. The target of a record is a source. An application can declare it
//! ([`log_source!`](crate::log_source)); otherwise its first record adds it.
//!
//! | a disabled record | costs |
//! |---|---|
//! | of a level that no source logs at | one load |
//! | of a declared source, by [`log_to!`](crate::log_to) | one load |
//! | any other | a look into the [`Table`] |
//!
//! `cargo bench -p logging --bench log` measures all three.

#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

mod levels;

use core::fmt;

#[doc(hidden)]
pub use log;
use spin::Once;
use sync::Counter;
use units::Micros;

use self::levels::Unsettled;
pub use self::levels::{
    ApplyError, Item, Items, Known, Level, Levels, LevelsError, LogSource, MAX_SEEN, MAX_SOURCES,
    MAX_TARGET_LEN, Table, Unknown, UnknownLevel,
};

/// Takes one whole line, with its newline, and prints it in one piece. Any task that logs calls it.
pub type Sink = fn(fmt::Arguments<'_>);

/// Returns the time since boot.
pub type Clock = fn() -> Micros;

/// Numbers of lines printed since boot, by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Lines at the level error.
    pub errors: u64,
    /// Lines at the level warning.
    pub warnings: u64,
    /// Lines at the level info.
    pub infos: u64,
    /// Lines at the levels debug and trace.
    pub debugs: u64,
}

/// The reason why the levels were not set.
///
/// ```
/// use logging::LogError;
/// assert_eq!(LogError::Taken.to_string(), "a logger is already installed");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError<'a> {
    /// The text is not a list of levels.
    Parse(LevelsError<'a>),
    /// The list could not be applied.
    Apply(ApplyError<'a>),
    /// The program already has a logger.
    Taken,
}

impl fmt::Display for LogError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::Apply(error) => error.fmt(f),
            Self::Taken => f.write_str("a logger is already installed"),
        }
    }
}

impl core::error::Error for LogError<'_> {}

/// Makes this the program's logger: from now on `sink` gets every record that its target's level lets through. Sources
/// that are not named log at `info`; named targets become sources.
///
/// # Errors
///
/// [`LogError`] if `levels` is invalid, and then nothing is logged, or if there is already a logger.
///
/// # Example
///
/// ```
/// use units::Micros;
///
/// logging::init(|line| print!("{line}"), || Micros(12_345_678), "*:info,app::cache:debug").unwrap();
/// log::info!("shown as [   12.345678 INFO  …] shown as …");
/// assert_eq!(logging::lines().infos, 1);
/// ```
pub fn init(sink: Sink, clock: Clock, levels: &str) -> Result<(), LogError<'_>> {
    let levels = Levels::parse(levels).map_err(LogError::Parse)?;
    if LOGGER.shell.is_completed() {
        return Err(LogError::Taken);
    }
    let levels_of = &LOGGER.levels;
    levels_of
        .apply(&levels, Unknown::Enter)
        .map_err(LogError::Apply)?;
    LOGGER.shell.call_once(|| Shell { sink, clock });
    log::set_logger(&LOGGER).map_err(|_| LogError::Taken)?;
    publish(levels_of.max());
    Ok(())
}

/// Changes levels while the program runs, all of the text or nothing. See [`Table::apply`].
///
/// # Errors
///
/// [`LogError`] if the text is invalid, or names an unknown source.
///
/// ```
/// assert_eq!(logging::set_levels("*:debug"), Ok(()));
/// assert!(logging::set_levels("nobody:debug").is_err());
/// ```
pub fn set_levels(text: &str) -> Result<(), LogError<'_>> {
    let levels = Levels::parse(text).map_err(LogError::Parse)?;
    let result = LOGGER.levels.apply(&levels, Unknown::Refuse);
    result.map_err(LogError::Apply)
}

/// Adds declared sources before their first record, so that their levels can be set.
///
/// ```
/// use logging::{self, log_source};
///
/// log_source!(CACHE = "app::cache", "answers that were given before");
/// logging::declare(&[&CACHE]);
/// logging::set_levels("app::cache:debug").unwrap();
/// assert!(logging::set_levels("app::cash:debug").is_err());
/// ```
pub fn declare(sources: &[&'static LogSource]) {
    for source in sources {
        LOGGER.levels.declare(source);
    }
}

/// Sets the maximum level of the crate `log`, which every record is compared with first. Without a sink, nothing is
/// logged.
fn publish(max: Level) {
    if LOGGER.shell.is_completed() {
        log::set_max_level(max.filter());
    }
}

/// Returns the table of levels.
#[must_use]
pub fn levels() -> &'static Table {
    &LOGGER.levels
}

/// Returns the numbers of printed lines. A few loads.
#[must_use]
pub fn lines() -> Lines {
    LOGGER.lines()
}

static LOGGER: Logger = Logger::new();

struct Shell {
    sink: Sink,
    clock: Clock,
}

struct Logger {
    shell: Once<Shell>,
    levels: Table,
    errors: Counter,
    warnings: Counter,
    infos: Counter,
    debugs: Counter,
}

impl Logger {
    const fn new() -> Self {
        Self {
            shell: Once::new(),
            levels: Table::new(Level::Info, publish),
            errors: Counter::new(),
            warnings: Counter::new(),
            infos: Counter::new(),
            debugs: Counter::new(),
        }
    }

    fn counter(&self, level: log::Level) -> &Counter {
        match level {
            log::Level::Error => &self.errors,
            log::Level::Warn => &self.warnings,
            log::Level::Info => &self.infos,
            log::Level::Debug | log::Level::Trace => &self.debugs,
        }
    }

    fn lines(&self) -> Lines {
        Lines {
            errors: self.errors.get(),
            warnings: self.warnings.get(),
            infos: self.infos.get(),
            debugs: self.debugs.get(),
        }
    }
}

impl Logger {
    /// Prints and counts a record that is enabled.
    fn write(&self, target: &str, record: &log::Record<'_>) {
        let Some(shell) = self.shell.get() else {
            return;
        };
        self.counter(record.level()).add(1);
        let now = (shell.clock)();
        let (secs, micros) = (now.as_secs(), now.0 % 1_000_000);
        let (level, message) = (record.level(), record.args());
        (shell.sink)(format_args!(
            "[{secs:5}.{micros:06} {level:<5} {target}] {message}\n"
        ));
    }
}

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= self.levels.see(metadata.target()).filter()
    }

    fn log(&self, record: &log::Record<'_>) {
        // `log` may be called without `enabled`, so it checks again.
        if self.enabled(record.metadata()) {
            self.write(record.target(), record);
        }
    }

    fn flush(&self) {}
}

/// Handles records of `log::debug!(logger: CACHE, …)`, which [`log_to!`](crate::log_to) uses when the level is on.
/// Their target is the source.
impl log::Log for &'static LogSource {
    #[inline]
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        self.is_enabled(metadata.level())
    }

    #[inline]
    fn log(&self, record: &log::Record<'_>) {
        if log::Log::enabled(self, record.metadata()) {
            LOGGER.write(self.name(), record);
        }
    }

    fn flush(&self) {}
}

/// Returns the level of a source that does not hold it.
#[cold]
fn level_of(source: &'static LogSource, why: Unsettled) -> Level {
    if why == Unsettled::New {
        LOGGER.levels.declare(source);
    }
    LOGGER.levels.level(source.name())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use log::Log as _;

    use super::*;

    static PRINTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

    fn print(line: fmt::Arguments<'_>) {
        PRINTED.lock().unwrap().push(line.to_string());
    }

    fn record(logger: &Logger, level: log::Level, target: &str, message: &str) {
        let arguments = format_args!("{message}");
        logger.log(
            &log::Record::builder()
                .level(level)
                .target(target)
                .args(arguments)
                .build(),
        );
    }

    #[test]
    fn a_record_is_a_line_with_time_level_and_target_and_is_counted() {
        let logger = Logger::new();
        record(
            &logger,
            log::Level::Error,
            "early",
            "before there is a sink",
        );
        logger.shell.call_once(|| Shell {
            sink: print,
            clock: || Micros(12_345_678),
        });
        logger
            .levels
            .apply(
                &Levels::parse("a::b:trace,c:error").unwrap(),
                Unknown::Enter,
            )
            .unwrap();
        record(&logger, log::Level::Info, "a", "hello");
        record(&logger, log::Level::Debug, "a", "not shown");
        record(&logger, log::Level::Trace, "a::b", "detail");
        record(&logger, log::Level::Warn, "c", "not shown");
        record(&logger, log::Level::Error, "c::d", "it broke");
        record(&logger, log::Level::Warn, "x", "look");
        let printed = PRINTED.lock().unwrap();
        assert_eq!(
            *printed,
            [
                "[   12.345678 INFO  a] hello\n",
                "[   12.345678 TRACE a::b] detail\n",
                "[   12.345678 ERROR c::d] it broke\n",
                "[   12.345678 WARN  x] look\n",
            ]
        );
        assert_eq!(
            logger.lines(),
            Lines {
                errors: 1,
                warnings: 1,
                infos: 1,
                debugs: 1
            }
        );
    }

    #[test]
    fn a_long_time_grows_to_the_left() {
        static LINE: Mutex<String> = Mutex::new(String::new());
        let logger = Logger::new();
        let sink = |line: fmt::Arguments<'_>| *LINE.lock().unwrap() = line.to_string();
        logger.shell.call_once(|| Shell {
            sink,
            clock: || Micros(1_234_567_000_089),
        });
        record(&logger, log::Level::Info, "t", "m");
        assert_eq!(*LINE.lock().unwrap(), "[1234567.000089 INFO  t] m\n");
    }

    #[test]
    fn errors_say_what_is_wrong() {
        assert_eq!(
            set_levels("loud").unwrap_err().to_string(),
            "\"loud\": unknown log level"
        );
        assert_eq!(
            set_levels("nobody:debug").unwrap_err().to_string(),
            "unknown source: nobody"
        );
        assert_eq!(LogError::Taken.to_string(), "a logger is already installed");
    }
}
