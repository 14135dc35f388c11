//! Addresses of images.

use core::fmt;
use core::net::{Ipv4Addr, SocketAddr};
use core::str::FromStr;
use core::time::Duration;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};

use thiserror::Error;

/// The longest time that a connection may take: images are in the next network, not far away.
pub(crate) const CONNECT: Duration = Duration::from_secs(5);

/// A host and perhaps a port: `10.0.2.15`, `localhost:4242`, `[::1]:4242`, `::1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    port: Option<u16>,
}

/// Not a host with a port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither HOST nor HOST:PORT")]
pub(crate) struct AddressError(String);

/// The reason why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    /// No such host.
    #[error("{address} has no address: {source}")]
    Host {
        /// The address that was asked for.
        address: String,
        /// The reason.
        source: io::Error,
    },
    /// Nobody there.
    #[error(
        "cannot connect to {address}: {source}: is the image running, and does it listen there?"
    )]
    Connect {
        /// The address that was asked for.
        address: String,
        /// The reason.
        source: io::Error,
    },
}

impl Address {
    /// The same host and another port.
    pub(crate) fn with_port(&self, port: u16) -> Self {
        Self {
            host: self.host.clone(),
            port: Some(port),
        }
    }

    /// Connects to the first of the host's addresses that answers; to this port if the address has none.
    ///
    /// # Errors
    /// [`ConnectError`], after [`CONNECT`] for each address at worst.
    pub(crate) fn connect(&self, port: u16) -> Result<TcpStream, ConnectError> {
        self.connect_within(port, CONNECT)
    }

    /// The same, with another bound on the time for each address.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(crate) fn connect_within(
        &self,
        port: u16,
        most: Duration,
    ) -> Result<TcpStream, ConnectError> {
        let port = self.port.unwrap_or(port);
        let address = self.with_port(port).to_string();
        let found = (self.host.as_str(), port).to_socket_addrs();
        let found = found.map_err(|source| ConnectError::Host {
            address: address.clone(),
            source,
        })?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for candidate in found {
            match TcpStream::connect_timeout(&candidate, most) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(ConnectError::Connect {
            address,
            source: last,
        })
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: Some(address.port()),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let error = || AddressError(text.to_owned());
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(error)?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if rest.is_empty() => (host, None),
                    None => return Err(error()),
                }
            }
            // More than one colon: IPv6 without a port.
            None if text.matches(':').count() > 1 => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port
            .map(|port| port.parse().ok().filter(|&port| port > 0).ok_or_else(error))
            .transpose()?;
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(error());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.host.contains(':'), self.port) {
            (false, None) => f.write_str(&self.host),
            (false, Some(port)) => write!(f, "{}:{port}", self.host),
            (true, None) => write!(f, "[{}]", self.host),
            (true, Some(port)) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

/// A text is not an address to serve at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is no address: 8080 (on this machine only) and 10.0.0.1:8080 are")]
pub(crate) struct NotServed(String);

/// Reads an address to serve at: `10.0.0.1:8080`, or a port of loopback, `8080`.
///
/// # Errors
/// [`NotServed`].
pub(crate) fn served(text: &str) -> Result<SocketAddr, NotServed> {
    let port = |port: u16| (Ipv4Addr::LOCALHOST, port).into();
    text.parse()
        .or_else(|_| text.parse().map(port))
        .map_err(|_| NotServed(text.to_owned()))
}

/// A thing of every machine, and other ones of some.
#[derive(Debug, Clone)]
pub(crate) struct Each<T> {
    /// Of every machine that is not in the list.
    any: Option<T>,
    /// By the tag `vm`. The last one counts.
    by_vm: Vec<(String, T)>,
}

/// A port of images, for control or for traces: `ADDRESS:PORT` of every machine, `VM=ADDRESS:PORT` of one, separated by commas.
pub(crate) type Addresses = Each<SocketAddr>;

/// A part of a list is not an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is no address of a port: 127.0.0.1:2323 and web-1=10.0.0.7:2323 are")]
pub(crate) struct NoAddress(String);

impl<T> Default for Each<T> {
    fn default() -> Self {
        Self::of_all(None)
    }
}

impl<T> Each<T> {
    /// The same for all machines, if anything.
    pub(crate) const fn of_all(any: Option<T>) -> Self {
        Self {
            any,
            by_vm: Vec::new(),
        }
    }

    /// Of the machine with this tag `vm`.
    pub(crate) fn of(&self, vm: &str) -> Option<&T> {
        let own = self.by_vm.iter().rfind(|(name, _)| name == vm);
        own.map(|(_, own)| own).or(self.any.as_ref())
    }

    /// Returns whether no machine has any.
    pub(crate) fn is_empty(&self) -> bool {
        self.any.is_none() && self.by_vm.is_empty()
    }

    /// Returns whether machines have one that are not named.
    pub(crate) fn is_for_all(&self) -> bool {
        self.any.is_some()
    }

    /// The machines that are named.
    pub(crate) fn named(&self) -> impl Iterator<Item = &str> {
        self.by_vm.iter().map(|(vm, _)| vm.as_str())
    }

    /// Makes another thing of each.
    pub(crate) fn map<U>(&self, make: impl Fn(&T) -> U) -> Each<U> {
        let own = self.by_vm.iter();
        Each {
            any: self.any.as_ref().map(&make),
            by_vm: own.map(|(vm, own)| (vm.clone(), make(own))).collect(),
        }
    }
}

impl FromStr for Addresses {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let mut addresses = Self::default();
        for part in text.split(',') {
            let (vm, address) = match part.rsplit_once('=') {
                Some((vm, address)) => (Some(vm), address),
                None => (None, part),
            };
            let address = address.parse().map_err(|_| NoAddress(part.to_owned()))?;
            match vm {
                Some(vm) => addresses.by_vm.push((vm.to_owned(), address)),
                None => addresses.any = Some(address),
            }
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("10.0.2.15", "10.0.2.15", None),
            ("localhost:4242", "localhost", Some(4242)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:1", "::1", Some(1)),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(
                (address.host.as_str(), address.port),
                (host, port),
                "{text}"
            );
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn what_is_none_is_named() {
        for text in [
            "", ":1", "a:", "a:b", "a:0", "a:65536", "[::1", "[::1]x", "a b:1",
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{text:?} is neither HOST nor HOST:PORT")
            );
        }
    }

    #[test]
    fn a_port_is_of_all_machines_or_of_one() {
        let addresses: Addresses = "127.0.0.1:1,a=b=10.0.0.7:2,c=10.0.0.8:3,c=10.0.0.9:4"
            .parse()
            .unwrap();
        for (vm, want) in [
            ("a=b", "10.0.0.7:2"),
            ("a", "127.0.0.1:1"),
            ("c", "10.0.0.9:4"),
        ] {
            assert_eq!(addresses.of(vm), want.parse().ok().as_ref(), "{vm}");
            let ports = addresses.map(SocketAddr::port);
            assert_eq!(
                ports.of(vm),
                addresses.of(vm).map(SocketAddr::port).as_ref()
            );
        }
        assert!(!addresses.is_empty() && Addresses::default().is_empty());
        let error = "127.0.0.1:1,x=y".parse::<Addresses>().unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("\"x=y\" is no address of a port: "),
            "{error}"
        );
    }
}
