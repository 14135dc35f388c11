//! The configuration of an image: values with their defaults, and a parser for the value of each argument.
//!
//! The application owns the grammar of the arguments (`--key value`); the library takes a [`Config`] and reads no
//! arguments. Every error quotes the offending text, in one line.

mod token;

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

use heap_profiler::{DEFAULT_RING_BYTES, MAX_RING_BYTES, MIN_RING_BYTES, Rate};
use network::bounds::{CONTROL_IDLE, TRACE_SEND_BYTES, TRACE_SEND_MAX, TRACE_SEND_MIN};
use units::Micros;

pub use network::{ALLOW_MAX, Addressing, Allow, BadValue, Cidr, Target, parse_cidr};

pub use self::token::{TOKEN_MAX, Token, parse_token};

/// Shortest interval. A turn that emits takes about 1 ms under QEMU's TCG. With fewer than ten such turns' time in an
/// interval, emission would take a large part of the core.
pub const INTERVAL_MIN: Micros = Micros::from_millis(10);
/// Longest interval. Grafana's panels and InfluxDB's default shards hold hours to days: a series with fewer than one
/// point an hour looks dead.
pub const INTERVAL_MAX: Micros = Micros::from_secs(3_600);
/// Shortest time after which an idle control connection is closed. In less, nobody can type a command.
pub const IDLE_MIN: Micros = Micros::from_secs(1);
/// Longest such time. There are eight places, and a forgotten connection should not hold one for days.
pub const IDLE_MAX: Micros = Micros::from_secs(3_600);
/// Longest value of the tag `vm`, in bytes. A DNS label has at most 63 (RFC 1035, section 2.3.4), and the tag is
/// repeated on every line.
pub const VM_NAME_MAX: usize = 63;

/// Samples per allocated word: one sample in 80 kB.
const DEFAULT_RATE: Rate = match Rate::new(1e-4) {
    Ok(rate) => rate,
    Err(_) => panic!("1e-4 is a probability"),
};

/// All settings of the library.
///
/// [`Config::default`] holds the defaults of the image's interface (`docs/DESIGN.md`).
///
/// ```
/// use agent::config::Config;
/// use network::Target;
/// let mut config = Config::default();
/// config.target = Target::parse("tcp://192.0.2.1:8094")?;
/// assert_eq!(config.control_port, Some(2323));
/// # Ok::<(), network::BadValue<'static>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// The application's version, for the source `uptime` and for traces. If empty, it is not sent.
    pub version: &'static str,
    /// The receiver of metrics.
    pub target: Target,
    /// Time between two emissions, from [`INTERVAL_MIN`] to [`INTERVAL_MAX`].
    pub interval: Micros,
    /// Value of the tag `vm` on every line.
    pub vm: VmName,
    /// TCP port of the control service; `None` turns it off.
    pub control_port: Option<u16>,
    /// Time after which an idle control connection is closed, from [`IDLE_MIN`] to [`IDLE_MAX`].
    pub control_idle: Micros,
    /// The token that a client of a port must prove to know; `None`: no token is needed.
    pub token: Option<Token>,
    /// `true` if the token may come in the clear, as `auth SECRET`.
    pub token_plain: bool,
    /// The addresses that may connect to the control port and to the heap profiler.
    pub allow: Allow,
    /// TCP port of the heap profiler; `None` turns it off.
    pub memtrace_port: Option<u16>,
    /// Samples per allocated word.
    pub sampling_rate: Rate,
    /// `true` if the heap is always sampled, so that the live blocks are known at any time.
    pub heap_profile: bool,
    /// Memory for samples that wait to be sent, in bytes: a power of two, see
    /// [`heap::Settings`](heap_profiler::Settings).
    pub sample_bytes: usize,
    /// Send buffer of the connection that gets a trace, in bytes, from [`TRACE_SEND_MIN`] to [`TRACE_SEND_MAX`]. It divided by the
    /// round trip is the largest throughput.
    pub trace_bytes: usize,
    /// The way the interface gets its address.
    pub addressing: Addressing,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: "",
            target: Target::Udp(SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 2), 8094)),
            interval: Micros::from_secs(10),
            vm: VmName::DEFAULT,
            control_port: Some(2323),
            control_idle: CONTROL_IDLE,
            token: None,
            token_plain: false,
            allow: Allow::ALL,
            memtrace_port: Some(4242),
            sampling_rate: DEFAULT_RATE,
            heap_profile: false,
            sample_bytes: DEFAULT_RING_BYTES,
            trace_bytes: TRACE_SEND_BYTES,
            addressing: Addressing::Dhcp,
        }
    }
}

impl Config {
    /// Returns the settings of the network stack.
    #[must_use]
    pub const fn network(&self) -> network::stack::Settings {
        network::stack::Settings {
            addressing: self.addressing,
            target: self.target,
            allow: self.allow,
            control_port: self.control_port,
            memtrace_port: self.memtrace_port,
        }
    }

    /// Returns `true` if a port listens and every address may connect.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        let listens = self.control_port.is_some() || self.memtrace_port.is_some();
        listens && self.allow == Allow::ALL
    }
}

/// The value of the tag `vm`: 1 to [`VM_NAME_MAX`] bytes of UTF-8 without control characters.
///
/// ```
/// use agent::config::Config;
/// assert_eq!(Config::default().vm.as_str(), "hermit");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VmName {
    bytes: [u8; VM_NAME_MAX],
    len: u8,
}

// `len` is one byte.
const _: () = assert!(VM_NAME_MAX <= u8::MAX as usize);

impl VmName {
    const DEFAULT: Self = {
        let mut bytes = [0; VM_NAME_MAX];
        let name = b"hermit";
        let mut at = 0;
        while at < name.len() {
            bytes[at] = name[at];
            at += 1;
        }
        Self { bytes, len: 6 }
    };

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The bytes come from a `&str`, so they are UTF-8. This check costs less than an argument for `unsafe`.
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for VmName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Parses the value of `--vm`.
///
/// # Errors
/// An empty name, a name longer than [`VM_NAME_MAX`] bytes, or one with a control character (a line break in a tag
/// would split the line).
///
/// ```
/// use agent::config::parse_vm;
/// assert_eq!(parse_vm("web-1")?.as_str(), "web-1");
/// # Ok::<(), network::BadValue<'static>>(())
/// ```
pub fn parse_vm(text: &str) -> Result<VmName, BadValue<'_>> {
    if text.is_empty() {
        return Err(BadValue::new(text, " is not a name: empty"));
    }
    if text.len() > VM_NAME_MAX {
        return Err(BadValue::new(text, " is not a name: longer than 63 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(BadValue::new(
            text,
            " is not a name: holds a control character",
        ));
    }
    let mut bytes = [0; VM_NAME_MAX];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Ok(VmName {
        bytes,
        len: text.len() as u8,
    })
}

/// Parses the value of `--interval`: a whole number and `ms`, `s` or `m`, such as `250ms`.
///
/// # Errors
/// Any other text, or a span outside [`INTERVAL_MIN`] to [`INTERVAL_MAX`].
///
/// ```
/// use agent::config::parse_interval;
/// use units::Micros;
/// assert_eq!(parse_interval("250ms"), Ok(Micros::from_millis(250)));
/// assert!(parse_interval("0s").is_err());
/// ```
pub fn parse_interval(text: &str) -> Result<Micros, BadValue<'_>> {
    let span = parse_span(text).ok_or(BadValue::new(
        text,
        " is not an interval: want 250ms, 1s or 1m",
    ))?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&span) {
        Ok(span)
    } else {
        Err(BadValue::new(text, " is not an interval: want 10ms to 60m"))
    }
}

/// Parses the value of `--control-idle`, in the same form as an interval.
///
/// # Errors
/// Any other text, or a span outside [`IDLE_MIN`] to [`IDLE_MAX`].
///
/// ```
/// use agent::config::parse_idle;
/// use units::Micros;
/// assert_eq!(parse_idle("5m"), Ok(Micros::from_secs(300)));
/// assert!(parse_idle("999ms").is_err());
/// ```
pub fn parse_idle(text: &str) -> Result<Micros, BadValue<'_>> {
    let span = parse_span(text).ok_or(BadValue::new(
        text,
        " is not an idle time: want 500ms, 60s or 5m",
    ))?;
    if (IDLE_MIN..=IDLE_MAX).contains(&span) {
        Ok(span)
    } else {
        Err(BadValue::new(text, " is not an idle time: want 1s to 60m"))
    }
}

/// Parses a whole number and `ms`, `s` or `m`. A number that does not fit 64 bits becomes the largest span, so that
/// callers reject it as too large.
fn parse_span(text: &str) -> Option<Micros> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let micros_per_unit = match unit {
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return None,
    };
    if number.is_empty() {
        return None;
    }
    let number = number.parse::<u64>().unwrap_or(u64::MAX);
    Some(Micros(number.saturating_mul(micros_per_unit)))
}

/// Parses the value of `--control-port` or `--memtrace-port`: 1 to 65535, or 0 for off (`None`).
///
/// # Errors
/// Text that is not a decimal number in that range. A sign is not allowed.
///
/// ```
/// use agent::config::parse_port;
/// assert_eq!(parse_port("2323"), Ok(Some(2323)));
/// assert_eq!(parse_port("0"), Ok(None));
/// ```
pub fn parse_port(text: &str) -> Result<Option<u16>, BadValue<'_>> {
    let not_a_port = BadValue::new(text, " is not a port: want 0 to 65535, 0 for off");
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_a_port);
    }
    match text.parse::<u16>() {
        Ok(0) => Ok(None),
        Ok(port) => Ok(Some(port)),
        Err(_) => Err(not_a_port),
    }
}

/// Checks that two ports differ: two services cannot listen on one port.
///
/// # Errors
/// Both ports are on and equal.
///
/// ```
/// use agent::config::check_ports;
/// assert!(check_ports(Some(2323), Some(4242)).is_ok());
/// assert!(check_ports(Some(2323), Some(2323)).is_err());
/// ```
pub const fn check_ports(
    control: Option<u16>,
    memtrace: Option<u16>,
) -> Result<(), BadValue<'static>> {
    match (control, memtrace) {
        (Some(control), Some(memtrace)) if control == memtrace => Err(BadValue::of_port(
            control,
            " is given to both the control and the memtrace service",
        )),
        _ => Ok(()),
    }
}

/// Parses the value of `--sampling-rate`: samples per allocated word, from 1e-12 to 1.
///
/// # Errors
/// Text that is not such a number.
///
/// ```
/// use agent::config::parse_rate;
/// assert_eq!(parse_rate("1e-3")?.get(), 1e-3);
/// assert!(parse_rate("2").is_err());
/// # Ok::<(), network::BadValue<'static>>(())
/// ```
pub fn parse_rate(text: &str) -> Result<Rate, BadValue<'_>> {
    let rate = text.parse().ok().and_then(|rate| Rate::new(rate).ok());
    rate.ok_or(BadValue::new(
        text,
        " is not a sampling rate: want a number from 1e-12 to 1",
    ))
}

/// Parses the value of `--heap-profile`: `on` or `off`.
///
/// # Errors
/// Any other text.
///
/// ```
/// use agent::config::parse_switch;
/// assert_eq!(parse_switch("on"), Ok(true));
/// ```
pub fn parse_switch(text: &str) -> Result<bool, BadValue<'_>> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(BadValue::new(text, " is not a switch: want on or off")),
    }
}

/// Parses the value of `--sample-memory`: a number of bytes, or of units of 1,024 (`K`) or 1,048,576 (`M`).
///
/// # Errors
/// Text that is not a power of two from [`MIN_RING_BYTES`] to [`MAX_RING_BYTES`].
///
/// ```
/// use agent::config::parse_sample_bytes;
/// assert_eq!(parse_sample_bytes("256K"), Ok(256 << 10));
/// assert!(parse_sample_bytes("3K").is_err());
/// ```
pub fn parse_sample_bytes(text: &str) -> Result<usize, BadValue<'_>> {
    parse_size(text)
        .filter(|bytes| {
            (MIN_RING_BYTES..=MAX_RING_BYTES).contains(bytes) && bytes.is_power_of_two()
        })
        .ok_or(BadValue::new(
            text,
            " is not a size for samples: want a power of two from 4K to 64M",
        ))
}

/// Parses the value of `--trace-buffer`, in the same form as [`parse_sample_bytes`].
///
/// # Errors
/// Text that is not a size from [`TRACE_SEND_MIN`] to [`TRACE_SEND_MAX`].
///
/// ```
/// use agent::config::parse_trace_bytes;
/// assert_eq!(parse_trace_bytes("100K"), Ok(100 << 10));
/// assert!(parse_trace_bytes("1K").is_err());
/// ```
pub fn parse_trace_bytes(text: &str) -> Result<usize, BadValue<'_>> {
    parse_size(text)
        .filter(|bytes| (TRACE_SEND_MIN..=TRACE_SEND_MAX).contains(bytes))
        .ok_or(BadValue::new(
            text,
            " is not a size for the trace's buffer: want 4K to 4M",
        ))
}

/// Parses a whole number of bytes, or of units of 1,024 (`K`) or 1,048,576 (`M`). A sign is not allowed.
fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = match text.as_bytes() {
        [number @ .., b'K'] => (number.len(), 1 << 10),
        [number @ .., b'M'] => (number.len(), 1 << 20),
        number => (number.len(), 1),
    };
    let digits = text[..number].bytes().all(|byte| byte.is_ascii_digit());
    let number = text[..number].parse::<usize>().ok().filter(|_| digits)?;
    number.checked_mul(unit)
}
