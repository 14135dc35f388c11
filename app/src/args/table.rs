//! The table of arguments, the setter of each value, and the text of `--help`, which is made from the table.

use core::fmt;

use monitoring::Micros;
use monitoring::config::{
    Allow, BadValue, Target, parse_idle, parse_interval, parse_port, parse_rate,
    parse_sample_bytes, parse_switch, parse_token, parse_trace_bytes, parse_vm,
};
use monitoring::logging::Levels;

use super::{ArgsError, Key, Options, VERSION};
use crate::workload::Kind;

/// One argument that takes a value.
pub(super) struct Argument {
    id: Id,
    /// The name without its dashes.
    pub name: &'static str,
    pub short: Option<char>,
    /// The name of the value in `--help`.
    value: &'static str,
    pub meaning: &'static str,
    pub default: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Id {
    Influx,
    Interval,
    Vm,
    ControlPort,
    ControlIdle,
    Token,
    TokenPlain,
    Allow,
    MemtracePort,
    SamplingRate,
    HeapProfile,
    SampleMemory,
    TraceBuffer,
    Ipv4,
    Gateway,
    Log,
    Workload,
    Seed,
    Duration,
}

/// The names of [`Kind`] as part of a sentence.
const WORKLOADS: &str = "mixed, churn, leak, spin, exact or idle";

pub(super) static ARGUMENTS: [Argument; 19] = [
    Argument {
        id: Id::Influx,
        name: "influx",
        short: None,
        value: "TARGET",
        meaning: "receiver of metrics: udp://IP:PORT, tcp://IP:PORT or off",
        default: Some("udp://10.0.2.2:8094"),
    },
    Argument {
        id: Id::Interval,
        name: "interval",
        short: None,
        value: "SPAN",
        meaning: "time between metrics: 250ms, 1s, 1m",
        default: Some("10s"),
    },
    Argument {
        id: Id::Vm,
        name: "vm",
        short: None,
        value: "NAME",
        meaning: "value of the tag vm on every line",
        default: Some("hermit"),
    },
    Argument {
        id: Id::ControlPort,
        name: "control-port",
        short: None,
        value: "PORT",
        meaning: "TCP port for commands, 0 for off",
        default: Some("2323"),
    },
    Argument {
        id: Id::ControlIdle,
        name: "control-idle",
        short: None,
        value: "SPAN",
        meaning: "closes control connections that are idle this long: 30s, 5m",
        default: Some("60s"),
    },
    Argument {
        id: Id::Token,
        name: "token",
        short: None,
        value: "SECRET",
        meaning: "clients of both ports must prove to know it; hermon does with --token",
        default: None,
    },
    Argument {
        id: Id::TokenPlain,
        name: "token-plain",
        short: None,
        value: "on|off",
        meaning: "takes the token in the clear, too: auth SECRET",
        default: Some("off"),
    },
    Argument {
        id: Id::Allow,
        name: "allow",
        short: None,
        value: "NETWORKS",
        meaning: "clients that may connect: A.B.C.D/LEN or A.B.C.D, separated by commas",
        default: Some("0.0.0.0/0"),
    },
    Argument {
        id: Id::MemtracePort,
        name: "memtrace-port",
        short: None,
        value: "PORT",
        meaning: "TCP port of the heap profiler, 0 for off",
        default: Some("4242"),
    },
    Argument {
        id: Id::SamplingRate,
        name: "sampling-rate",
        short: None,
        value: "RATE",
        meaning: "samples per allocated word, at most 1",
        default: Some("1e-4"),
    },
    Argument {
        id: Id::HeapProfile,
        name: "heap-profile",
        short: None,
        value: "on|off",
        meaning: "on: always sample the heap, for the command H and for panics",
        default: Some("off"),
    },
    Argument {
        id: Id::SampleMemory,
        name: "sample-memory",
        short: None,
        value: "BYTES",
        meaning: "memory for samples that wait to be sent: a power of two, 4K to 64M",
        default: Some("256K"),
    },
    Argument {
        id: Id::TraceBuffer,
        name: "trace-buffer",
        short: None,
        value: "BYTES",
        meaning: "bytes of a trace in flight to its client: bandwidth times round trip, 4K to 4M",
        default: Some("24K"),
    },
    Argument {
        id: Id::Ipv4,
        name: "ipv4",
        short: None,
        value: "ADDRESS",
        meaning: "dhcp or A.B.C.D/LEN",
        default: Some("dhcp"),
    },
    Argument {
        id: Id::Gateway,
        name: "gateway",
        short: None,
        value: "A.B.C.D",
        meaning: "gateway of the network of --ipv4",
        default: None,
    },
    Argument {
        id: Id::Log,
        name: "log",
        short: Some('l'),
        value: "LEVELS",
        meaning: "log levels: LEVEL, *:LEVEL or SOURCE:LEVEL, separated by commas",
        default: Some("*:info"),
    },
    Argument {
        id: Id::Workload,
        name: "workload",
        short: None,
        value: "NAME",
        meaning: WORKLOADS,
        default: Some("mixed"),
    },
    Argument {
        id: Id::Seed,
        name: "seed",
        short: None,
        value: "NUMBER",
        meaning: "seed of the workload, which does the same for the same seed",
        default: Some("1"),
    },
    Argument {
        id: Id::Duration,
        name: "duration",
        short: None,
        value: "SPAN",
        meaning: "ends the workload and powers off: 500ms, 20s, 5m, 24h",
        default: None,
    },
];

/// The options while the arguments are parsed. Values that can only be checked together stay text until the end.
pub(super) struct Draft<'a> {
    pub options: Options<'a>,
    pub ipv4: &'a str,
    pub gateway: Option<&'a str>,
}

impl Default for Draft<'_> {
    fn default() -> Self {
        Self {
            options: Options::default(),
            ipv4: "dhcp",
            gateway: None,
        }
    }
}

impl<'a> Draft<'a> {
    /// Sets `argument`, typed as `key`, to the value `text`.
    pub fn set(
        &mut self,
        argument: &Argument,
        key: Key<'a>,
        text: &'a str,
    ) -> Result<(), ArgsError<'a>> {
        if let Id::Log = argument.id {
            Levels::parse(text).map_err(|reason| ArgsError::Levels { key, reason })?;
            self.options.log = text;
            return Ok(());
        }
        let bad = |reason| ArgsError::Value { key, reason };
        self.set_value(argument.id, text).map_err(bad)
    }

    fn set_value(&mut self, id: Id, text: &'a str) -> Result<(), BadValue<'a>> {
        let options = &mut self.options;
        let config = &mut options.config;
        match id {
            Id::Influx => config.target = Target::parse(text)?,
            Id::Interval => config.interval = parse_interval(text)?,
            Id::Vm => config.vm = parse_vm(text)?,
            Id::ControlPort => config.control_port = parse_port(text)?,
            Id::ControlIdle => config.control_idle = parse_idle(text)?,
            Id::Token => config.token = Some(parse_token(text)?),
            Id::TokenPlain => config.token_plain = parse_switch(text)?,
            Id::Allow => config.allow = Allow::parse(text)?,
            Id::MemtracePort => config.memtrace_port = parse_port(text)?,
            Id::SamplingRate => config.sampling_rate = parse_rate(text)?,
            Id::HeapProfile => config.heap_profile = parse_switch(text)?,
            Id::SampleMemory => config.sample_bytes = parse_sample_bytes(text)?,
            Id::TraceBuffer => config.trace_bytes = parse_trace_bytes(text)?,
            Id::Ipv4 => self.ipv4 = text,
            Id::Gateway => self.gateway = Some(text),
            Id::Log => options.log = text,
            Id::Workload => options.workload = parse_workload(text)?,
            Id::Seed => options.seed = parse_seed(text)?,
            Id::Duration => options.duration = Some(parse_duration(text)?),
        }
        Ok(())
    }
}

fn parse_workload(text: &str) -> Result<Kind, BadValue<'_>> {
    Kind::from_name(text).ok_or(BadValue::new(
        text,
        " is not a workload: want mixed, churn, leak, spin, exact or idle",
    ))
}

fn parse_seed(text: &str) -> Result<u64, BadValue<'_>> {
    // `u64::from_str` would accept a plus sign.
    let number = text.parse().ok().filter(|_| !text.starts_with('+'));
    number.ok_or(BadValue::new(
        text,
        " is not a seed: want 0 to 18446744073709551615",
    ))
}

/// The longest duration in hours: 1,000 days, far below the overflow of microseconds.
const DURATION_HOURS_MAX: u64 = 24_000;

/// Parses a duration: like an interval, but from 1 ms to [`DURATION_HOURS_MAX`], because an endurance test takes days.
pub(super) fn parse_duration(text: &str) -> Result<Micros, BadValue<'_>> {
    const UNITS: [(&str, u64); 4] = [
        ("ms", 1_000),
        ("s", 1_000_000),
        ("m", 60_000_000),
        ("h", 3_600_000_000),
    ];
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = UNITS.iter().find(|(name, _)| *name == unit);
    let micros = unit.and_then(|(_, micros)| number.parse::<u64>().ok()?.checked_mul(*micros));
    let in_range =
        micros.filter(|micros| (1..=DURATION_HOURS_MAX * 3_600_000_000).contains(micros));
    in_range.map(Micros).ok_or(BadValue::new(
        text,
        " is not a duration: want 500ms, 20s, 5m or 24h, at most 24000h",
    ))
}

/// The answer to `--help`: several lines, the last one without a newline.
pub struct Help;

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The columns of name and value.
        const WIDTH: usize = 26;
        writeln!(
            f,
            "A Hermit image that runs a workload and monitors itself."
        )?;
        writeln!(f, "usage: [--KEY VALUE | --KEY=VALUE]...")?;
        for Argument {
            name,
            short,
            value,
            meaning,
            default,
            ..
        } in &ARGUMENTS
        {
            let used = match short {
                Some(letter) => write!(f, "  --{name}, -{letter} ").map(|()| name.len() + 7)?,
                None => write!(f, "  --{name} ").map(|()| name.len() + 3)?,
            };
            let rest = WIDTH - used;
            write!(f, "{value:rest$}{meaning}")?;
            match default {
                Some(default) => writeln!(f, " (default {default})")?,
                None => writeln!(f)?,
            }
        }
        writeln!(f, "  {:WIDTH$}prints this text", "--help, -h")?;
        write!(f, "  {:WIDTH$}{VERSION}", "--version")
    }
}
