//! The events that the loop sends to its shell. Each is one line of the log.

use core::fmt;
use core::net::Ipv4Addr;

use crate::trace::TraceEvent;
use network::push::{ConnectFailure, Loss};
use network::stack::{By, Conflict};
use network::{Cidr, Target};

/// An event that is worth a line in the log. Its `Display` is that line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The interface has an address: services listen, and metrics are sent.
    Ready {
        /// The address.
        address: Cidr,
        /// The origin of the address.
        by: By,
        /// The port of the control service.
        control_port: Option<u16>,
        /// The port of the heap profiler.
        memtrace_port: Option<u16>,
        /// The receiver of metrics.
        target: Target,
    },
    /// The interface has lost its address, and with it all connections.
    AddressLost {
        /// The address.
        address: Cidr,
    },
    /// DHCP has given no address for [`DHCP_PATIENCE`](network::bounds::DHCP_PATIENCE).
    NoAddress,
    /// A DHCP server offered a lease that no host can use. Sent for the 1st, 2nd, 4th, 8th … time.
    LeaseRefused {
        /// The server.
        server: Ipv4Addr,
        /// Number of such leases since boot.
        refused: u64,
    },
    /// Another host claims our address, or that of the gateway or the receiver. Sent for the 1st, 2nd, 4th, 8th … time.
    Contradicted(Conflict),
    /// Every address may connect to the ports that listen. Sent once.
    OpenToAll,
    /// There is no route to the receiver of metrics: it is in another network, and there is no gateway.
    NoRoute {
        /// The receiver of metrics.
        target: Target,
    },
    /// The connection to the receiver of metrics is open.
    Connected {
        /// The receiver of metrics.
        target: Target,
    },
    /// The connection could not be opened. Sent for the 1st, 2nd, 4th, 8th … failure in a row.
    ConnectFailed {
        /// The receiver of metrics.
        target: Target,
        /// The reason.
        reason: ConnectFailure,
        /// Failures in a row.
        failures: u32,
    },
    /// The connection ended.
    ConnectionLost {
        /// The receiver of metrics.
        target: Target,
        /// The reason.
        reason: Loss,
        /// Lines that are sent again.
        resent: usize,
    },
    /// The queue is full, and lines are being dropped. Sent once until no line waits any more.
    Losing {
        /// Lines lost for this reason since boot.
        lost: u64,
    },
    /// Something happened at the memtrace port.
    Trace(TraceEvent),
    /// A line was dropped because it exceeds the largest line. Sent for the 1st, 2nd, 4th, 8th … line.
    LineTooLong {
        /// Lines lost for this reason since boot.
        lost: u64,
    },
}

impl Event {
    /// Returns `true` if the event reports a problem.
    #[must_use]
    pub const fn is_warning(&self) -> bool {
        !matches!(
            self,
            Self::Ready { .. }
                | Self::OpenToAll
                | Self::Connected { .. }
                | Self::Trace(TraceEvent::Began | TraceEvent::Ended { lost: 0, .. })
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("monitoring: ")?;
        match self {
            Self::Trace(event) => event.fmt(f),
            Self::Ready {
                address,
                by,
                control_port,
                memtrace_port,
                target,
            } => {
                let by = match by {
                    By::Dhcp => "by dhcp",
                    By::Static => "static",
                };
                write!(f, "ready, address {address} {by}")?;
                for (name, port) in [("control", control_port), ("memtrace", memtrace_port)] {
                    match port {
                        Some(port) => write!(f, ", {name} port {port}")?,
                        None => write!(f, ", {name} port off")?,
                    }
                }
                match target {
                    Target::Off => f.write_str(", metrics off"),
                    _ => write!(f, ", metrics to {target}"),
                }
            }
            Self::AddressLost { address } => write!(f, "address {address} lost"),
            Self::NoAddress => f.write_str("no address yet, no DHCP server has given one"),
            Self::LeaseRefused { server, refused } => {
                write!(
                    f,
                    "the lease of DHCP server {server} is unusable, refusal {refused}"
                )
            }
            Self::Contradicted(Conflict {
                address,
                mac: [a, b, c, d, e, g],
                conflicts,
            }) => write!(
                f,
                "the host {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x} claims the address {address} of another, \
                 conflict {conflicts}"
            ),
            Self::OpenToAll => {
                f.write_str("every address may connect, --allow names those that may")
            }
            Self::NoRoute { target } => write!(
                f,
                "no route to {target}: it is in another network, and there is no gateway"
            ),
            Self::Connected { target } => write!(f, "connected to {target}"),
            Self::ConnectFailed {
                target,
                reason,
                failures,
            } => {
                write!(
                    f,
                    "cannot connect to {target}: {reason}, failure {failures} in a row"
                )
            }
            Self::ConnectionLost {
                target,
                reason,
                resent,
            } => {
                write!(
                    f,
                    "connection to {target} lost: {reason}, {resent} lines to be sent again"
                )
            }
            Self::LineTooLong { lost } => {
                write!(
                    f,
                    "a line is too long to be sent, {lost} lost that way since boot"
                )
            }
            Self::Losing { lost } => {
                write!(
                    f,
                    "queue full, dropping the oldest lines, {lost} lost since boot"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_event_is_one_line() {
        let Config { target, .. } = Config::default();
        let address = network::parse_cidr("10.0.2.15/24").expect("an address");
        let ready = |by, control_port, target| Event::Ready {
            address,
            by,
            control_port,
            memtrace_port: control_port.map(|_| 4242),
            target,
        };
        for (event, line) in [
            (
                ready(By::Dhcp, Some(2323), target),
                "monitoring: ready, address 10.0.2.15/24 by dhcp, control port 2323, memtrace port 4242, metrics to udp://10.0.2.2:8094",
            ),
            (
                ready(By::Static, None, Target::Off),
                "monitoring: ready, address 10.0.2.15/24 static, control port off, memtrace port off, metrics off",
            ),
            (
                Event::AddressLost { address },
                "monitoring: address 10.0.2.15/24 lost",
            ),
            (
                Event::OpenToAll,
                "monitoring: every address may connect, --allow names those that may",
            ),
            (
                Event::NoRoute { target },
                "monitoring: no route to udp://10.0.2.2:8094: it is in another network, and there is no gateway",
            ),
            (
                Event::Connected { target },
                "monitoring: connected to udp://10.0.2.2:8094",
            ),
            (
                Event::ConnectFailed {
                    target,
                    reason: ConnectFailure::Refused,
                    failures: 4,
                },
                "monitoring: cannot connect to udp://10.0.2.2:8094: refused, failure 4 in a row",
            ),
            (
                Event::ConnectionLost {
                    target,
                    reason: Loss::PeerClosed,
                    resent: 2,
                },
                "monitoring: connection to udp://10.0.2.2:8094 lost: closed by the peer, 2 lines to be sent again",
            ),
            (
                Event::Trace(TraceEvent::Began),
                "monitoring: a client gets a trace, the heap is sampled",
            ),
            (
                Event::Trace(TraceEvent::Ended {
                    allocs: 3,
                    frees: 2,
                    bytes: 100,
                    lost: 1,
                }),
                "monitoring: the trace has ended, 3 allocations and 2 frees in 100 bytes, 1 lost",
            ),
            (
                Event::Trace(TraceEvent::TurnedAway { refused: 4 }),
                "monitoring: a client of the memtrace port was reset, all its places are taken, refusal 4",
            ),
            (
                Event::Trace(TraceEvent::TooSlow { lost: 9, slow: 2 }),
                "monitoring: the client of the memtrace port was reset, it reads too slowly or not at all, 9 samples not recorded meanwhile, client 2",
            ),
            (
                Event::NoAddress,
                "monitoring: no address yet, no DHCP server has given one",
            ),
            (
                Event::LeaseRefused {
                    server: Ipv4Addr::new(10, 0, 2, 2),
                    refused: 2,
                },
                "monitoring: the lease of DHCP server 10.0.2.2 is unusable, refusal 2",
            ),
            (
                Event::LineTooLong { lost: 1 },
                "monitoring: a line is too long to be sent, 1 lost that way since boot",
            ),
            (
                Event::Losing { lost: 7 },
                "monitoring: queue full, dropping the oldest lines, 7 lost since boot",
            ),
        ] {
            assert_eq!(event.to_string(), line);
            let fine = matches!(
                event,
                Event::Ready { .. }
                    | Event::OpenToAll
                    | Event::Connected { .. }
                    | Event::Trace(TraceEvent::Began)
            );
            assert_eq!(event.is_warning(), !fine, "{line}");
        }
    }
}
