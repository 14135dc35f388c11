//! The image's arguments: a parser driven by one table.
//!
//! Splitting arguments into options, values and positionals is the work of the crate `getargs`; the values are parsed by
//! `monitoring::config` and `monitoring::logging`.

mod error;
mod table;

use getargs::Arg;
use monitoring::Micros;
use monitoring::config::{self, Addressing, Config};

pub use self::error::{ArgsError, Key};
pub use self::table::Help;
use self::table::{ARGUMENTS, Argument, Draft};
use crate::workload::Kind;

/// All that an image can be told. Texts are borrowed from the arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options<'a> {
    /// What the library is told.
    pub config: Config,
    /// Log levels, in the grammar of [`Levels`](monitoring::logging::Levels), which they were checked against.
    pub log: &'a str,
    /// What the image does.
    pub workload: Kind,
    /// Decides all that the workload does.
    pub seed: u64,
    /// How long the workload runs; `None`: for ever.
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

/// What the arguments ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one is made, at boot, and the other variants end the image"
)]
pub enum Request<'a> {
    /// To run.
    Run(Options<'a>),
    /// To print [`Help`] and end.
    Help,
    /// To print [`VERSION`] and end.
    Version,
}

/// The answer to `--version`.
pub const VERSION: &str = concat!("app ", env!("CARGO_PKG_VERSION"));

/// Reads all arguments, without the image's own name.
///
/// `--key value`, `--key=value`, `-l value` and `-lvalue`; of an argument that is given twice the last counts. A value that
/// begins with `--` must be written with `=`: without, it is taken for the next argument. `--help` and `--version` end the
/// parsing: what follows them is not looked at.
///
/// # Errors
/// The first thing that is wrong, named in one line.
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
    // `next_arg` fails only after a value that nobody took, and every key below takes its value or ends the parsing.
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

/// The keys that take no value.
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

/// Judges what can only be judged together.
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
