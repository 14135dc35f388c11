//! Where an image is.

use core::fmt;
use core::net::SocketAddr;
use core::str::FromStr;
use core::time::Duration;
use std::io;
use std::net::{TcpStream, ToSocketAddrs};

use thiserror::Error;

/// Where an image answers commands if nothing else is said.
pub const CONTROL_PORT: u16 = crate::application::CONTROL_PORT;

/// Where an image gives traces if nothing else is said.
pub const MEMTRACE_PORT: u16 = crate::application::MEMTRACE_PORT;

/// How long a connection may take: images are in the next network, not behind the world.
const CONNECT: Duration = Duration::from_secs(5);

/// A host and perhaps a port: `10.0.2.15`, `localhost:4242`, `[::1]:4242`, `::1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: Option<u16>,
}

/// Not a host with a port.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither HOST nor HOST:PORT")]
pub struct AddressError(String);

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No such host.
    #[error("{address} has no address: {source}")]
    Host {
        /// What was asked for.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody there.
    #[error(
        "cannot connect to {address}: {source}: is the image running, and does it listen there?"
    )]
    Connect {
        /// What was asked for.
        address: String,
        /// Why.
        source: io::Error,
    },
}

impl Address {
    /// The same host and another port.
    pub fn with_port(&self, port: u16) -> Self {
        Self {
            host: self.host.clone(),
            port: Some(port),
        }
    }

    /// Connects to the first of the host's addresses that answers; to this port if the address has none.
    ///
    /// # Errors
    /// [`ConnectError`], after 5 s for each address at worst.
    pub fn connect(&self, port: u16) -> Result<TcpStream, ConnectError> {
        let address = self.with_port(self.port.unwrap_or(port)).to_string();
        let port = self.port.unwrap_or(port);
        let found = (self.host.as_str(), port).to_socket_addrs();
        let found = found.map_err(|source| ConnectError::Host {
            address: address.clone(),
            source,
        })?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for candidate in found {
            match TcpStream::connect_timeout(&candidate, CONNECT) {
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
}
