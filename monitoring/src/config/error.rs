//! Why a value was refused: each error names the offending text in one line.

use core::error::Error;
use core::fmt;

use super::{
    ALLOW_MAX, Cidr, IDLE_MAX, IDLE_MIN, INTERVAL_MAX, INTERVAL_MIN, TOKEN_MAX, VM_NAME_MAX,
};
use crate::heap::{MAX_RING_BYTES, MIN_RING_BYTES, Rate};

/// Why a text is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each holds the text; what is wrong with it is its message"
)]
pub enum TargetError<'a> {
    Form(&'a str),
    Port(&'a str),
    Address(&'a str),
}

impl fmt::Display for TargetError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => {
                write!(
                    f,
                    "{text:?} is not a target: want udp://IP:PORT, tcp://IP:PORT or off"
                )
            }
            Self::Port(text) => write!(f, "{text:?} is not a target: port 0"),
            Self::Address(text) => {
                write!(f, "{text:?} is not a target: no host can have this address")
            }
        }
    }
}

/// Why texts are no addressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each holds the text; what is wrong with it is its message"
)]
pub enum AddressingError<'a> {
    Address(CidrError<'a>),
    Gateway(&'a str),
    GatewayOutside { gateway: &'a str, network: Cidr },
    GatewayWithDhcp(&'a str),
}

impl fmt::Display for AddressingError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(error) => error.fmt(f),
            Self::Gateway(text) => write!(f, "{text:?} is not a gateway: want A.B.C.D"),
            Self::GatewayOutside { gateway, network } => {
                write!(
                    f,
                    "{gateway:?} is not a gateway: not another host in {network}"
                )
            }
            Self::GatewayWithDhcp(text) => {
                write!(
                    f,
                    "gateway {text:?} needs a static address: DHCP names its own"
                )
            }
        }
    }
}

/// Why a text is no address with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each holds the text; what is wrong with it is its message"
)]
pub enum CidrError<'a> {
    Form(&'a str),
    Prefix(&'a str),
    Host(&'a str),
}

impl fmt::Display for CidrError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(f, "{text:?} is not an address: want dhcp or A.B.C.D/LEN"),
            Self::Prefix(text) => {
                write!(f, "{text:?} is not an address: the prefix is not 1 to 32")
            }
            Self::Host(text) => write!(f, "{text:?} is not an address: no host can have it"),
        }
    }
}

/// Why a text is no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each holds the text; what is wrong with it is its message"
)]
pub enum IntervalError<'a> {
    Form(&'a str),
    Range(&'a str),
}

impl fmt::Display for IntervalError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(f, "{text:?} is not an interval: want 250ms, 1s or 1m"),
            Self::Range(text) => write!(
                f,
                "{text:?} is not an interval: want {}ms to {}m",
                INTERVAL_MIN.as_millis(),
                INTERVAL_MAX.as_secs() / 60
            ),
        }
    }
}

/// Why a text is no idle time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each holds the text; what is wrong with it is its message"
)]
pub enum IdleError<'a> {
    Form(&'a str),
    Range(&'a str),
}

impl fmt::Display for IdleError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(f, "{text:?} is not an idle time: want 500ms, 60s or 5m"),
            Self::Range(text) => write!(
                f,
                "{text:?} is not an idle time: want {}s to {}m",
                IDLE_MIN.as_secs(),
                IDLE_MAX.as_secs() / 60
            ),
        }
    }
}

/// Why a text is no list of addresses that may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each holds the text; what is wrong with it is its message"
)]
pub enum AllowError<'a> {
    Form(&'a str),
    Prefix(&'a str),
    TooMany(&'a str),
}

impl fmt::Display for AllowError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => write!(
                f,
                "{text:?} is not a network: want A.B.C.D/LEN or A.B.C.D, divided by commas"
            ),
            Self::Prefix(text) => write!(f, "{text:?} is not a network: the prefix is not 0 to 32"),
            Self::TooMany(text) => write!(f, "{text:?} is one network more than {ALLOW_MAX}"),
        }
    }
}

/// Why a text is no token. The text is a secret, so its message does not show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "what is wrong is the message")]
pub enum TokenError {
    Empty,
    TooLong,
    Control,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a token: ")?;
        match self {
            Self::Empty => f.write_str("empty"),
            Self::TooLong => write!(f, "longer than {TOKEN_MAX} bytes"),
            Self::Control => f.write_str("holds a control character"),
        }
    }
}

/// Why a text is no value of the tag `vm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each holds the text; what is wrong with it is its message"
)]
pub enum VmError<'a> {
    Empty,
    TooLong(&'a str),
    Control(&'a str),
}

impl fmt::Display for VmError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("\"\" is not a name: empty"),
            Self::TooLong(text) => {
                write!(f, "{text:?} is not a name: longer than {VM_NAME_MAX} bytes")
            }
            Self::Control(text) => write!(f, "{text:?} is not a name: holds a control character"),
        }
    }
}

/// A text that is no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortError<'a>(pub &'a str);

impl fmt::Display for PortError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a port: want 0 to 65535, 0 for off", self.0)
    }
}

/// The port that two services were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortsError(pub u16);

impl fmt::Display for PortsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "port {} is given to both the control and the memtrace service",
            self.0
        )
    }
}

/// A text that is no sampling rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateError<'a>(pub &'a str);

impl fmt::Display for RateError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a sampling rate: want a number from {:e} to 1",
            self.0,
            Rate::MIN
        )
    }
}

/// A text that is neither `on` nor `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchError<'a>(pub &'a str);

impl fmt::Display for SwitchError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a switch: want on or off", self.0)
    }
}

/// A text that is no size for the memory of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleBytesError<'a>(pub &'a str);

impl fmt::Display for SampleBytesError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a size for samples: want a power of two from {}K to {}M",
            self.0,
            MIN_RING_BYTES >> 10,
            MAX_RING_BYTES >> 20
        )
    }
}

impl Error for TargetError<'_> {}
impl Error for AddressingError<'_> {}
impl Error for CidrError<'_> {}
impl Error for IntervalError<'_> {}
impl Error for IdleError<'_> {}
impl Error for AllowError<'_> {}
impl Error for TokenError {}
impl Error for VmError<'_> {}
impl Error for PortError<'_> {}
impl Error for PortsError {}
impl Error for RateError<'_> {}
impl Error for SwitchError<'_> {}
impl Error for SampleBytesError<'_> {}
