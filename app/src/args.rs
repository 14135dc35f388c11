//! Parses the image's arguments, driven by one table.
//!
//! The crate `getargs` splits arguments into options, values and positionals. `monitoring::config` and `monitoring::logging` parse
//! the values.

mod error;
mod table;

use getargs::Arg;
use monitoring::Micros;
use monitoring::config::{self, Addressing, Config};

pub use self::error::{ArgsError, Key};
pub use self::table::Help;
use self::table::{ARGUMENTS, Argument, Draft};
use crate::workload::Kind;

/// All options of the image. Texts are borrowed from the arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options<'a> {
    /// The configuration of the library.
    pub config: Config,
    /// Log levels in the grammar of [`Levels`](monitoring::logging::Levels); the parser has checked them.
    pub log: &'a str,
    /// The workload to run.
    pub workload: Kind,
    /// The seed that determines the workload.
    pub seed: u64,
    /// The running time of the workload; `None` means no end.
    pub duration: Option<Micros>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            config: Config {
                version: env!("CARGO_PKG_VERSION"),
                ..Config::default()
            },
            log: "*:info",
            workload: Kind::default(),
            seed: 1,
            duration: None,
        }
    }
}

/// The request that the arguments express.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made, at boot, and the other variants end the image"
)]
pub enum Request<'a> {
    /// Run the workload.
    Run(Options<'a>),
    /// Print [`Help`] and end.
    Help,
    /// Print [`VERSION`] and end.
    Version,
}

/// The answer to `--version`.
pub const VERSION: &str = concat!("app ", env!("CARGO_PKG_VERSION"));

/// Reads all arguments, without the image's own name.
///
/// The forms are `--key value`, `--key=value`, `-l value` and `-lvalue`. If an argument is given twice, the last one counts. A
/// value that begins with `--` must be written with `=`; otherwise it is taken for the next argument. `--help` and `--version` end
/// the parsing: the texts after them are not read.
///
/// # Errors
/// Returns the first mistake, named in one line.
///
/// ```
/// use app::args::{parse, Request};
/// let Ok(Request::Run(options)) = parse(["--interval=1s", "--seed", "7"].into_iter()) else { unreachable!() };
/// assert_eq!(options.seed, 7);
/// assert_eq!(parse(["--port", "1"].into_iter()).unwrap_err().to_string(), "unknown argument \"--port\", see --help");
/// ```
pub fn parse<'a>(args: impl Iterator<Item = &'a str>) -> Result<Request<'a>, ArgsError<'a>> {
    let mut args = getargs::Options::new(args);
    let mut draft = Draft::default();
    // `next_arg` fails only after a value that was not taken. Every key below takes its value or ends the parsing.
    while let Ok(Some(arg)) = args.next_arg() {
        let key = match arg {
            Arg::Positional(text) => return Err(ArgsError::Surplus(text)),
            Arg::Long(name) => Key::Long(name),
            Arg::Short(letter) => Key::Short(letter),
        };
        let attached = args.value_opt();
        if let Some(request) = flag(key) {
            let needless = |value| ArgsError::NeedlessValue { key, value };
            return attached.map_or(Ok(request), |value| Err(needless(value)));
        }
        let argument = find(key).ok_or(ArgsError::Unknown(key))?;
        let separate = || args.value().ok().filter(|next| !next.starts_with("--"));
        let value = attached.or_else(separate).ok_or(ArgsError::NoValue(key))?;
        draft.set(argument, key, value)?;
    }
    finish(draft).map(Request::Run)
}

/// Returns the request of a key that takes no value.
fn flag(key: Key<'_>) -> Option<Request<'static>> {
    match key {
        Key::Long("help") | Key::Short('h') => Some(Request::Help),
        Key::Long("version") => Some(Request::Version),
        _ => None,
    }
}

fn find(key: Key<'_>) -> Option<&'static Argument> {
    ARGUMENTS.iter().find(|argument| match key {
        Key::Long(name) => argument.name == name,
        Key::Short(letter) => argument.short == Some(letter),
    })
}

/// Checks the values that can only be checked together.
fn finish(draft: Draft<'_>) -> Result<Options<'_>, ArgsError<'_>> {
    let Draft {
        mut options,
        ipv4,
        gateway,
    } = draft;
    let config = &mut options.config;
    config::check_ports(config.control_port, config.memtrace_port).map_err(ArgsError::Ports)?;
    config.addressing = Addressing::parse(ipv4, gateway).map_err(|reason| {
        let of_ipv4 = Addressing::parse(ipv4, None).is_err();
        let key = Key::Long(if of_ipv4 { "ipv4" } else { "gateway" });
        ArgsError::Value { key, reason }
    })?;
    Ok(options)
}

#[cfg(test)]
mod tests;
