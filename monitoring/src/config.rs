//! What an image can be told: values with their defaults, and the parser of each argument's value.
//!
//! The grammar of the arguments themselves (`--key value`) belongs to the application; the library takes a
//! [`Config`] and reads no arguments. Every error names the offending text in one line.

mod access;
mod error;

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

pub use self::access::{ALLOW_MAX, Allow, TOKEN_MAX, Token, parse_token};
pub use self::error::{
    AddressingError, AllowError, CidrError, IdleError, IntervalError, PortError, PortsError,
    RateError, SampleBytesError, SwitchError, TargetError, TokenError, VmError,
};
use crate::heap::{DEFAULT_RING_BYTES, MAX_RING_BYTES, MIN_RING_BYTES, Rate};
use crate::net::bounds::CONTROL_IDLE;
use crate::time::Micros;

/// Shortest interval. A turn that emits takes about 1 ms under QEMU's TCG; with less than ten of them to an
/// interval, emission would take a large part of the core.
pub const INTERVAL_MIN: Micros = Micros::from_millis(10);
/// Longest interval. Grafana's panels and InfluxDB's default shards hold hours to days: a series with fewer
/// than one point an hour looks dead.
pub const INTERVAL_MAX: Micros = Micros::from_secs(3_600);
/// Shortest time after which an idle control connection is closed: less, and nobody can type a command.
pub const IDLE_MIN: Micros = Micros::from_secs(1);
/// Longest such time: with eight places, a forgotten connection should not hold one for days.
pub const IDLE_MAX: Micros = Micros::from_secs(3_600);
/// Longest value of the tag `vm`, in bytes: a DNS label has at most 63 (RFC 1035, section 2.3.4), and the tag
/// is repeated on every line.
pub const VM_NAME_MAX: usize = 63;

/// Samples per allocated word: one in 80 kB.
const DEFAULT_RATE: Rate = match Rate::new(1e-4) {
    Ok(rate) => rate,
    Err(_) => panic!("a probability"),
};

/// Everything the library can be told.
///
/// [`Config::default`] holds the defaults of the image's interface, see `docs/DESIGN.md`.
///
/// ```
/// use monitoring::config::{Config, Target};
/// let mut config = Config::default();
/// config.target = Target::parse("tcp://192.0.2.1:8094")?;
/// assert_eq!(config.control_port, Some(2323));
/// # Ok::<(), monitoring::config::TargetError<'static>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// The application's version, for the source `uptime` and for traces; empty: none is told.
    pub version: &'static str,
    /// Where metrics go.
    pub target: Target,
    /// Time between two emissions, from [`INTERVAL_MIN`] to [`INTERVAL_MAX`].
    pub interval: Micros,
    /// Value of the tag `vm` on every line.
    pub vm: VmName,
    /// TCP port of the control service; `None`: off.
    pub control_port: Option<u16>,
    /// A control connection on which nothing moves for so long is closed; from [`IDLE_MIN`] to [`IDLE_MAX`].
    pub control_idle: Micros,
    /// With what a control connection has to begin; `None`: with nothing.
    pub token: Option<Token>,
    /// Who may connect to the control port and to the heap profiler.
    pub allow: Allow,
    /// TCP port of the heap profiler; `None`: off.
    pub memtrace_port: Option<u16>,
    /// Samples per allocated word.
    pub sampling_rate: Rate,
    /// Whether the heap is always sampled, so that what is alive can be told at any time.
    pub heap_profile: bool,
    /// Memory for samples that wait to be sent, in bytes: a power of two, see [`heap::Settings`](crate::heap::Settings).
    pub sample_bytes: usize,
    /// How the interface gets its address.
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
            allow: Allow::ALL,
            memtrace_port: Some(4242),
            sampling_rate: DEFAULT_RATE,
            heap_profile: false,
            sample_bytes: DEFAULT_RING_BYTES,
            addressing: Addressing::Dhcp,
        }
    }
}

impl Config {
    /// Whether something listens and every address may connect.
    #[must_use]
    pub fn is_open_to_all(&self) -> bool {
        let listens = self.control_port.is_some() || self.memtrace_port.is_some();
        listens && self.allow == Allow::ALL
    }
}

/// Where metrics go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Datagrams to this address.
    Udp(SocketAddrV4),
    /// A stream to this address.
    Tcp(SocketAddrV4),
    /// Nowhere: nothing is collected or sent.
    Off,
}

impl Target {
    /// Parses `udp://IP:PORT`, `tcp://IP:PORT` or `off`, in lower case.
    ///
    /// # Errors
    /// Anything else, port 0, and an address that no single other host can have (unspecified, loopback,
    /// multicast, 240.0.0.0 and above).
    ///
    /// ```
    /// use monitoring::config::Target;
    /// assert_eq!(Target::parse("off"), Ok(Target::Off));
    /// assert!(Target::parse("udp://localhost:8094").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, TargetError<'_>> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (make, rest): (fn(SocketAddrV4) -> Self, _) =
            if let Some(rest) = text.strip_prefix("udp://") {
                (Self::Udp, rest)
            } else if let Some(rest) = text.strip_prefix("tcp://") {
                (Self::Tcp, rest)
            } else {
                return Err(TargetError::Form(text));
            };
        let address: SocketAddrV4 = rest.parse().map_err(|_| TargetError::Form(text))?;
        if address.port() == 0 {
            return Err(TargetError::Port(text));
        }
        if !is_host(*address.ip()) {
            return Err(TargetError::Address(text));
        }
        Ok(make(address))
    }
}

/// The form that [`Target::parse`] reads.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// How the interface gets its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// From a DHCP server (RFC 2131), with the router it names.
    Dhcp,
    /// Given.
    Static {
        /// The interface's own address and the network it is in.
        cidr: Cidr,
        /// The way to every other network; inside `cidr`.
        gateway: Option<Ipv4Addr>,
    },
}

impl Addressing {
    /// Parses the values of `--ipv4` (`dhcp` or `A.B.C.D/LEN`) and `--gateway` (`A.B.C.D`), which belong
    /// together.
    ///
    /// # Errors
    /// An address or gateway that cannot be parsed, a gateway outside the network or equal to the own
    /// address, a gateway without a static address.
    ///
    /// ```
    /// use monitoring::config::Addressing;
    /// assert_eq!(Addressing::parse("dhcp", None), Ok(Addressing::Dhcp));
    /// assert!(Addressing::parse("10.0.2.50/24", Some("10.0.2.2")).is_ok());
    /// assert!(Addressing::parse("10.0.2.50/24", Some("10.0.3.2")).is_err());
    /// ```
    pub fn parse<'a>(ipv4: &'a str, gateway: Option<&'a str>) -> Result<Self, AddressingError<'a>> {
        if ipv4 == "dhcp" {
            return match gateway {
                None => Ok(Self::Dhcp),
                Some(gateway) => Err(AddressingError::GatewayWithDhcp(gateway)),
            };
        }
        let cidr = parse_cidr(ipv4).map_err(AddressingError::Address)?;
        let gateway = match gateway {
            None => None,
            Some(text) => Some(parse_gateway(text, cidr)?),
        };
        Ok(Self::Static { cidr, gateway })
    }
}

/// An address and the length of its network's prefix, 1 to 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// An address in its network; `None` if the prefix is not 1 to 32 or no host can have this address
    /// there: unspecified, loopback, multicast, reserved, or the network's own or broadcast address (prefixes
    /// 31 and 32 have neither, RFC 3021).
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        if !(1..=32).contains(&prefix) || !is_host(address) {
            return None;
        }
        let host_part = address.to_bits() & !mask(prefix);
        if prefix < 31 && (host_part == 0 || host_part == !mask(prefix)) {
            return None;
        }
        Some(Self { address, prefix })
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        self.address
    }

    /// The length of the network's prefix, 1 to 32.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether `other` is in the same network.
    #[must_use]
    pub fn contains(self, other: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ other.to_bits()) & mask(self.prefix) == 0
    }
}

/// `A.B.C.D/LEN`
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The value of the tag `vm`: 1 to [`VM_NAME_MAX`] bytes of UTF-8 without control characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VmName {
    bytes: [u8; VM_NAME_MAX],
    len: u8,
}

// The length is kept in one byte.
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

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made from a `&str` only, so it is UTF-8; a check costs less than an argument about `unsafe`.
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
/// An empty name, one longer than [`VM_NAME_MAX`] bytes, or one with a control character (a line break in a
/// tag would split the line).
pub fn parse_vm(text: &str) -> Result<VmName, VmError<'_>> {
    if text.is_empty() {
        return Err(VmError::Empty);
    }
    if text.len() > VM_NAME_MAX {
        return Err(VmError::TooLong(text));
    }
    if text.chars().any(char::is_control) {
        return Err(VmError::Control(text));
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
/// Anything else, and a span outside [`INTERVAL_MIN`] to [`INTERVAL_MAX`].
///
/// ```
/// use monitoring::{config::parse_interval, time::Micros};
/// assert_eq!(parse_interval("250ms"), Ok(Micros::from_millis(250)));
/// assert!(parse_interval("0s").is_err());
/// ```
pub fn parse_interval(text: &str) -> Result<Micros, IntervalError<'_>> {
    let span = parse_span(text).ok_or(IntervalError::Form(text))?;
    if (INTERVAL_MIN..=INTERVAL_MAX).contains(&span) {
        Ok(span)
    } else {
        Err(IntervalError::Range(text))
    }
}

/// Parses the value of `--control-idle`, in the form of an interval.
///
/// # Errors
/// Anything else, and a span outside [`IDLE_MIN`] to [`IDLE_MAX`].
///
/// ```
/// use monitoring::{config::parse_idle, time::Micros};
/// assert_eq!(parse_idle("5m"), Ok(Micros::from_secs(300)));
/// assert!(parse_idle("999ms").is_err());
/// ```
pub fn parse_idle(text: &str) -> Result<Micros, IdleError<'_>> {
    let span = parse_span(text).ok_or(IdleError::Form(text))?;
    if (IDLE_MIN..=IDLE_MAX).contains(&span) {
        Ok(span)
    } else {
        Err(IdleError::Range(text))
    }
}

/// A whole number and `ms`, `s` or `m`. A number too long for 64 bits is out of every range like any other that is too
/// large.
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
/// Anything that is not a decimal number in that range; a sign is not one.
pub fn parse_port(text: &str) -> Result<Option<u16>, PortError<'_>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PortError(text));
    }
    match text.parse::<u16>() {
        Ok(0) => Ok(None),
        Ok(port) => Ok(Some(port)),
        Err(_) => Err(PortError(text)),
    }
}

/// Checks two ports against each other: two services cannot listen on one port.
///
/// # Errors
/// Both are on and equal.
pub const fn check_ports(control: Option<u16>, memtrace: Option<u16>) -> Result<(), PortsError> {
    match (control, memtrace) {
        (Some(control), Some(memtrace)) if control == memtrace => Err(PortsError(control)),
        _ => Ok(()),
    }
}

/// Parses the value of `--sampling-rate`: samples per allocated word, from 1e-12 to 1.
///
/// # Errors
/// Anything that is not such a number.
pub fn parse_rate(text: &str) -> Result<Rate, RateError<'_>> {
    let rate = text.parse().ok().and_then(|rate| Rate::new(rate).ok());
    rate.ok_or(RateError(text))
}

/// Parses the value of `--heap-profile`: `on` or `off`.
///
/// # Errors
/// Anything else.
pub fn parse_switch(text: &str) -> Result<bool, SwitchError<'_>> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(SwitchError(text)),
    }
}

/// Parses the value of `--sample-memory`: bytes, or with `K` or `M` behind the number units of 1,024 or 1,048,576.
///
/// # Errors
/// Anything that is not a power of two from [`MIN_RING_BYTES`] to [`MAX_RING_BYTES`].
pub fn parse_sample_bytes(text: &str) -> Result<usize, SampleBytesError<'_>> {
    let (number, unit) = match text.as_bytes() {
        [number @ .., b'K'] => (number.len(), 1 << 10),
        [number @ .., b'M'] => (number.len(), 1 << 20),
        number => (number.len(), 1),
    };
    let bytes = text[..number].parse::<usize>().ok();
    bytes
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| {
            (MIN_RING_BYTES..=MAX_RING_BYTES).contains(bytes) && bytes.is_power_of_two()
        })
        .ok_or(SampleBytesError(text))
}

/// Parses `A.B.C.D/LEN`, the value of `--ipv4`.
///
/// # Errors
/// Anything else, a prefix outside 1 to 32, and an address that no host can have, see [`Cidr::new`].
pub fn parse_cidr(text: &str) -> Result<Cidr, CidrError<'_>> {
    let (address, prefix) = text.split_once('/').ok_or(CidrError::Form(text))?;
    let address: Ipv4Addr = address.parse().map_err(|_| CidrError::Form(text))?;
    if prefix.is_empty() || prefix.len() > 2 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CidrError::Form(text));
    }
    let prefix = prefix.parse().map_err(|_| CidrError::Form(text))?;
    if !(1..=32).contains(&prefix) {
        return Err(CidrError::Prefix(text));
    }
    Cidr::new(address, prefix).ok_or(CidrError::Host(text))
}

fn parse_gateway(text: &str, network: Cidr) -> Result<Ipv4Addr, AddressingError<'_>> {
    let gateway: Ipv4Addr = text.parse().map_err(|_| AddressingError::Gateway(text))?;
    if Cidr::new(gateway, network.prefix).is_none()
        || !network.contains(gateway)
        || gateway == network.address
    {
        return Err(AddressingError::GatewayOutside {
            gateway: text,
            network,
        });
    }
    Ok(gateway)
}

/// Whether a single other host can have this address.
fn is_host(address: Ipv4Addr) -> bool {
    // 240.0.0.0/4 is reserved (RFC 1112, section 4) and holds the limited broadcast.
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}
