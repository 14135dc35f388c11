//! The logger: records of the crate `log` as lines on a console, with levels per source that can be changed
//! while the image runs.
//!
//! ```text
//! [   12.345678 INFO  app::cache] evicted 17 entries
//!  └─ seconds since boot, 5 digits, and microseconds
//! ```
//!
//! The time is right-aligned for images that are up for less than 28 hours and grows to the left after that;
//! the level is padded to five letters. The target of a record is a source: one that the application declares
//! ([`log_source!`](crate::log_source)), or one that is entered when its first record comes here.
//!
//! | a disabled record | costs |
//! |---|---|
//! | of a level that no source logs at | one load |
//! | given to a declared source, [`log_to!`](crate::log_to) | one load |
//! | else | a look into the [`Table`] |
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

/// Takes one whole line, the newline included, and prints it in one piece. Called from any task that logs.
pub type Sink = fn(fmt::Arguments<'_>);

/// Tells the time since boot.
pub type Clock = fn() -> Micros;

/// Lines printed since boot, by level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// At the level error.
    pub errors: u64,
    /// At the level warning.
    pub warnings: u64,
    /// At the level info.
    pub infos: u64,
    /// At the levels debug and trace.
    pub debugs: u64,
}

/// Why the levels are not what was asked for.
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
    /// The program has a logger already.
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

/// Makes this the program's logger: from now on every record whose target has its level goes to `sink`.
/// Levels that are not named are `info`; targets that are named become sources.
///
/// # Errors
///
/// [`LogError`] if `levels` is wrong, in which case nothing is logged, or if there is a logger already.
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

/// Changes levels while the program runs, all that the text says or nothing. See [`Table::apply`].
///
/// # Errors
///
/// [`LogError`] if the text is wrong, or names what is no source.
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

/// Makes declared sources known before their first record, so that their levels can be set.
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

/// Sets what `log` looks at first. Before there is a sink, nothing is logged.
fn publish(max: Level) {
    if LOGGER.shell.is_completed() {
        log::set_max_level(max.filter());
    }
}

/// The levels as they are.
#[must_use]
pub fn levels() -> &'static Table {
    &LOGGER.levels
}

/// What has been printed. A few loads.
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
        // A caller that asks first and one that does not are treated alike.
        if self.enabled(record.metadata()) {
            self.write(record.target(), record);
        }
    }

    fn flush(&self) {}
}

/// Records that are given to the source by name, `log::debug!(logger: CACHE, …)`, which is what [`log_to!`](crate::log_to) does
/// when the level is on. The source is their target.
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

/// The level of a source that does not know it itself.
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
