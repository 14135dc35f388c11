//! Addresses as values that are always valid: the receiver of metrics, the interface's address, the addresses that may
//! connect.

mod value;

use core::fmt;
use core::net::{Ipv4Addr, SocketAddrV4};

pub use self::value::BadValue;

/// The most networks in an [`Allow`]: an operator's, a colleague's, and some machines that watch.
pub const ALLOW_MAX: usize = 8;

/// The receiver of metrics.
///
/// ```
/// use network::Target;
/// assert_eq!(Target::parse("tcp://192.0.2.1:8094")?.to_string(), "tcp://192.0.2.1:8094");
/// # Ok::<(), network::BadValue<'static>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Datagrams to this address.
    Udp(SocketAddrV4),
    /// A stream to this address.
    Tcp(SocketAddrV4),
    /// No receiver: no metrics are collected or sent.
    Off,
}

impl Target {
    /// Parses `udp://IP:PORT`, `tcp://IP:PORT` or `off`, in lower case.
    ///
    /// # Errors
    /// Any other text, port 0, and an address that a single other host cannot have (unspecified, loopback, multicast,
    /// 240.0.0.0 and above).
    ///
    /// ```
    /// use network::Target;
    /// assert_eq!(Target::parse("off"), Ok(Target::Off));
    /// assert!(Target::parse("udp://localhost:8094").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, BadValue<'_>> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (make, rest): (fn(SocketAddrV4) -> Self, _) =
            if let Some(rest) = text.strip_prefix("udp://") {
                (Self::Udp, rest)
            } else if let Some(rest) = text.strip_prefix("tcp://") {
                (Self::Tcp, rest)
            } else {
                return Err(BadValue::new(
                    text,
                    " is not a target: want udp://IP:PORT, tcp://IP:PORT or off",
                ));
            };
        let address: SocketAddrV4 = rest.parse().map_err(|_| {
            BadValue::new(
                text,
                " is not a target: want udp://IP:PORT, tcp://IP:PORT or off",
            )
        })?;
        if address.port() == 0 {
            return Err(BadValue::new(text, " is not a target: port 0"));
        }
        if !is_host(*address.ip()) {
            return Err(BadValue::new(
                text,
                " is not a target: no host can have this address",
            ));
        }
        Ok(make(address))
    }
}

/// Writes the form that [`Target::parse`] reads.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// The way the interface gets its address.
///
/// ```
/// use network::Addressing;
/// assert_eq!(Addressing::parse("dhcp", None), Ok(Addressing::Dhcp));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// A DHCP server (RFC 2131) gives the address and names the router.
    Dhcp,
    /// The configuration gives the address.
    Static {
        /// The interface's address and its network.
        cidr: Cidr,
        /// The router to every other network; inside `cidr`.
        gateway: Option<Ipv4Addr>,
    },
}

impl Addressing {
    /// Parses the values of `--ipv4` (`dhcp` or `A.B.C.D/LEN`) and `--gateway` (`A.B.C.D`), which belong together.
    ///
    /// # Errors
    /// An invalid address or gateway, a gateway outside the network or equal to the interface's address, and a gateway
    /// without a static address.
    ///
    /// ```
    /// use network::Addressing;
    /// assert_eq!(Addressing::parse("dhcp", None), Ok(Addressing::Dhcp));
    /// assert!(Addressing::parse("10.0.2.50/24", Some("10.0.2.2")).is_ok());
    /// assert!(Addressing::parse("10.0.2.50/24", Some("10.0.3.2")).is_err());
    /// ```
    pub fn parse<'a>(ipv4: &'a str, gateway: Option<&'a str>) -> Result<Self, BadValue<'a>> {
        if ipv4 == "dhcp" {
            return match gateway {
                None => Ok(Self::Dhcp),
                Some(gateway) => Err(BadValue::new(
                    gateway,
                    " needs a static address: DHCP names its own",
                )
                .after("gateway ")),
            };
        }
        let cidr = parse_cidr(ipv4)?;
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
    /// Creates an address in its network. Returns `None` if the prefix is not 1 to 32 or if no host can have this
    /// address: unspecified, loopback, multicast, reserved, or the network's own or broadcast address (prefixes 31 and
    /// 32 have neither, RFC 3021).
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

    /// Returns the address.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        self.address
    }

    /// Returns the length of the network's prefix, 1 to 32.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Returns `true` if `other` is in the same network.
    #[must_use]
    pub fn contains(self, other: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ other.to_bits()) & mask(self.prefix) == 0
    }
}

/// Writes `A.B.C.D/LEN`.
impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The addresses that may connect: up to [`ALLOW_MAX`] networks.
///
/// ```
/// use network::Allow;
/// assert_eq!(Allow::parse("10.0.2.9/24")?.to_string(), "10.0.2.0/24");
/// # Ok::<(), network::BadValue<'static>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The first address and the mask of each network. Entries from `len` on are equal to the first.
    networks: [(u32, u32); ALLOW_MAX],
    len: usize,
}

impl Allow {
    /// All addresses.
    pub const ALL: Self = Self {
        networks: [(0, 0); ALLOW_MAX],
        len: 1,
    };

    /// Parses the value of `--allow`: `A.B.C.D/LEN` or `A.B.C.D`, separated by commas. Bits of the address after the
    /// prefix are ignored.
    ///
    /// # Errors
    /// Any other text, a prefix above 32, and more than [`ALLOW_MAX`] networks.
    ///
    /// ```
    /// use network::Allow;
    /// let allow = Allow::parse("10.0.2.0/24,192.168.7.1").unwrap();
    /// assert!(allow.contains([10, 0, 2, 9].into()) && !allow.contains([192, 168, 7, 2].into()));
    /// ```
    pub fn parse(text: &str) -> Result<Self, BadValue<'_>> {
        let mut allow = Self::ALL;
        for (at, item) in text.split(',').enumerate() {
            let network = parse_network(item)?;
            if at == 0 {
                allow.networks = [network; ALLOW_MAX];
            }
            *allow
                .networks
                .get_mut(at)
                .ok_or_else(|| BadValue::new(item, " is one network more than 8"))? = network;
            allow.len = at + 1;
        }
        Ok(allow)
    }

    /// Returns `true` if this address may connect. Cost: at most [`ALLOW_MAX`] comparisons.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let networks = &self.networks[..self.len];
        let is_in = |(first, mask): &(u32, u32)| address.to_bits() & mask == *first;
        networks.iter().any(is_in)
    }
}

/// Writes the form that [`Allow::parse`] reads.
impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divider = "";
        self.networks[..self.len]
            .iter()
            .try_for_each(|(first, mask)| {
                let address = Ipv4Addr::from_bits(*first);
                write!(f, "{divider}{address}/{}", mask.count_ones())?;
                divider = ",";
                Ok(())
            })
    }
}

fn parse_network(text: &str) -> Result<(u32, u32), BadValue<'_>> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let address: Ipv4Addr = address.parse().map_err(|_| not_a_network(text))?;
    let plain = |prefix: &str| prefix.len() <= 2 && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix = Some(prefix).filter(|prefix| plain(prefix));
    let prefix: u32 = prefix
        .and_then(|prefix| prefix.parse().ok())
        .ok_or_else(|| not_a_network(text))?;
    if prefix > 32 {
        return Err(BadValue::new(
            text,
            " is not a network: the prefix is not 0 to 32",
        ));
    }
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Ok((address.to_bits() & mask, mask))
}

/// Parses `A.B.C.D/LEN`, the value of `--ipv4`.
///
/// # Errors
/// Any other text, a prefix outside 1 to 32, and an address that no host can have, see [`Cidr::new`].
pub fn parse_cidr(text: &str) -> Result<Cidr, BadValue<'_>> {
    let (address, prefix) = text.split_once('/').ok_or_else(|| not_an_address(text))?;
    let address: Ipv4Addr = address.parse().map_err(|_| not_an_address(text))?;
    if prefix.is_empty() || prefix.len() > 2 || !prefix.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(not_an_address(text));
    }
    let prefix = prefix.parse().map_err(|_| not_an_address(text))?;
    if !(1..=32).contains(&prefix) {
        return Err(BadValue::new(
            text,
            " is not an address: the prefix is not 1 to 32",
        ));
    }
    Cidr::new(address, prefix)
        .ok_or_else(|| BadValue::new(text, " is not an address: no host can have it"))
}

fn parse_gateway(text: &str, network: Cidr) -> Result<Ipv4Addr, BadValue<'_>> {
    let gateway: Ipv4Addr = text
        .parse()
        .map_err(|_| BadValue::new(text, " is not a gateway: want A.B.C.D"))?;
    if Cidr::new(gateway, network.prefix).is_none()
        || !network.contains(gateway)
        || gateway == network.address
    {
        return Err(
            BadValue::new(text, " is not a gateway: not another host in ").in_network(network),
        );
    }
    Ok(gateway)
}

/// Returns `true` if a single other host can have this address.
fn is_host(address: Ipv4Addr) -> bool {
    // 240.0.0.0/4 is reserved (RFC 1112, section 4) and contains the limited broadcast.
    let first = address.octets()[0];
    first != 0 && first != 127 && first < 224
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn not_an_address(text: &str) -> BadValue<'_> {
    BadValue::new(text, " is not an address: want dhcp or A.B.C.D/LEN")
}

fn not_a_network(text: &str) -> BadValue<'_> {
    BadValue::new(
        text,
        " is not a network: want A.B.C.D/LEN or A.B.C.D, divided by commas",
    )
}
