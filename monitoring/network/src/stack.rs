//! One Ethernet interface: ARP, IPv4, ping, DHCP, and the sockets of the services.
//!
//! The caller bounds the work: [`Stack::ingress`] takes a number of frames, [`Stack::egress`] sends at most one frame
//! per socket.
//!
//! Properties of smoltcp 0.14 that shape this file:
//! * It discards a datagram that is due while the interface has no address, and reports it as sent
//!   (`src/socket/udp.rs`, dispatch). So the emitter takes it back first.
//! * Its sequence numbers can be predicted, it panics on some segments, and its cache of hardware addresses is small and
//!   slow. So all frames pass a gate (`stack/gate.rs`), and smoltcp never sees an ARP packet of the network.
//! * It drops a packet larger than the MTU without a message: [`Datagrams::limit`] follows the device.

mod connections;
mod dhcp_rate;
mod gate;
mod neighbours;
mod numbers;
mod ports;
mod wire;

use core::cell::RefCell;
use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::iface::{Config as InterfaceConfig, Interface, PollIngressSingleResult, PollResult};
use smoltcp::iface::{SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::Device;
use smoltcp::socket::{AnySocket as _, dhcpv4, tcp, udp};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr, Ipv4Cidr};

use self::gate::Gate;
pub use self::neighbours::Conflict;
use self::neighbours::Role;
use self::ports::Ports;
use self::wire::{Frames, Wire};
use super::address::{Addressing, Allow, Cidr, Target};
use super::bounds::DATAGRAM_MAX;
use super::random::{Key, Random};
use super::stream::{Closed, Datagrams, Service};
use super::tcp::{Client, ClientLink, ListenCounts, Listener};
use units::Micros;

/// Sockets of the stack: DHCP, the emitter, the ports that listen.
pub const SOCKETS: usize = 2 + Ports::SOCKETS;

/// The purposes of random sequences.
const PORTS: u8 = 3;
const SMOLTCP: u8 = 4;

/// The header of IPv4 without options and that of UDP, in bytes.
const UDP_HEADERS: usize = 20 + 8;

/// The settings of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The way the interface gets its address.
    pub addressing: Addressing,
    /// The receiver of metrics.
    pub target: Target,
    /// The addresses that may connect to the ports.
    pub allow: Allow,
    /// TCP port of the control service; `None` turns it off.
    pub control_port: Option<u16>,
    /// TCP port of the heap profiler; `None` turns it off.
    pub memtrace_port: Option<u16>,
}

/// Memory for the state of one socket.
pub type SocketMemory<'a> = SocketStorage<'a>;

/// Memory without a socket in it.
pub const NO_SOCKET: SocketMemory<'static> = SocketStorage::EMPTY;

/// Memory of the stack. Its size is fixed.
#[derive(Debug)]
pub struct StackMemory<'a> {
    /// Memory for [`SOCKETS`] sockets.
    pub sockets: &'a mut [SocketMemory<'a>],
    /// Buffers of the sockets: [`StackMemory::bytes`].
    pub buffers: &'a mut [u8],
    /// Bookkeeping of the one datagram in flight.
    pub datagram: &'a mut [udp::PacketMetadata],
}

impl StackMemory<'_> {
    const EMITTER: usize = if Client::MEMORY > DATAGRAM_MAX {
        Client::MEMORY
    } else {
        DATAGRAM_MAX
    };

    /// Returns the bytes of buffers, if the connection that gets a trace has a send buffer of `trace_send` bytes.
    #[must_use]
    pub const fn bytes(trace_send: usize) -> usize {
        Self::EMITTER + Ports::bytes(trace_send)
    }

    /// Bookkeeping without a datagram.
    pub const NO_DATAGRAM: udp::PacketMetadata = udp::PacketMetadata::EMPTY;
}

/// The origin of the interface's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A DHCP server.
    Dhcp,
    /// The configuration.
    Static,
}

/// A change of the interface's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressEvent {
    /// The interface has this address now.
    Gained {
        /// The address and its network.
        cidr: Cidr,
        /// The router to other networks.
        gateway: Option<Ipv4Addr>,
        /// The origin of the address.
        by: By,
    },
    /// The interface has lost this address, and with it every connection.
    Lost {
        /// The address and its network.
        cidr: Cidr,
    },
    /// A DHCP server offers a lease that no host can use.
    Refused {
        /// The server.
        server: Ipv4Addr,
        /// Leases refused since boot, including this one.
        refused: u64,
    },
    /// An ARP packet contradicts what is known: another host claims our address, or the gateway's or the receiver's.
    Contradicted(Conflict),
}

/// The interface and its sockets. Never allocates.
pub struct Stack<'a> {
    interface: Interface,
    sockets: SocketSet<'a>,
    gate: RefCell<Gate>,
    frames: Frames,
    dhcp: Option<SocketHandle>,
    current: Option<Lease>,
    wanted: Option<Lease>,
    emitter: Emitter,
    ports: Ports,
    counts: FrameCounts,
}

/// Counts of frames and of changes of the address, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameCounts {
    /// Frames taken from the device.
    pub frames_received: u64,
    /// Bytes of these frames, with headers.
    pub bytes_received: u64,
    /// Frames given to the device.
    pub frames_sent: u64,
    /// Bytes of these frames, with headers.
    pub bytes_sent: u64,
    /// How often an address was lost.
    pub addresses_lost: u64,
    /// Answers of a DHCP server that name an address no host can have, or whose server has no unicast address.
    pub leases_refused: u64,
    /// DHCP messages dropped because they came faster than the limit ([`DHCP_EVERY`](super::bounds::DHCP_EVERY)).
    pub dhcp_dropped: u64,
    /// ARP packets that contradicted what is known.
    pub arp_conflicts: u64,
}

/// Numbers of TCP sockets, by their state now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketCounts {
    /// Sockets that wait for a connection.
    pub listening: u64,
    /// Connections in the handshake (SYN-SENT, SYN-RECEIVED).
    pub opening: u64,
    /// Connections open on both sides.
    pub established: u64,
    /// Connections that one side has closed (FIN-WAIT-1 and -2, CLOSE-WAIT, CLOSING, LAST-ACK).
    pub closing: u64,
    /// Connections that both sides have closed (TIME-WAIT).
    pub time_wait: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    cidr: Cidr,
    gateway: Option<Ipv4Addr>,
    /// The DHCP server.
    server: Option<Ipv4Addr>,
}

enum Emitter {
    Off,
    Udp {
        handle: SocketHandle,
        remote: SocketAddrV4,
        limit: usize,
    },
    Tcp(Client),
}

/// The configured way of emission, for one round.
pub enum Way<'s, 'a> {
    /// No way is configured.
    Off,
    /// Datagrams.
    Udp(UdpWay<'s, 'a>),
    /// A connection.
    Tcp(ClientLink<'s, 'a>),
}

impl<'a> Stack<'a> {
    /// Creates an interface on `device` with the hardware address `mac`. Ports, sequence numbers and transaction
    /// numbers are derived from `key`.
    ///
    /// # Panics
    /// If the device is not Ethernet, or the memory is smaller than [`StackMemory`] states.
    #[must_use]
    pub fn new<D: Device + ?Sized>(
        settings: &Settings,
        memory: StackMemory<'a>,
        device: &mut D,
        mac: [u8; 6],
        key: Key,
        now: Micros,
    ) -> Self {
        let mac = EthernetAddress(mac);
        let mut interface_config = InterfaceConfig::new(mac.into());
        interface_config.random_seed = u64::from(Random::new(key, SMOLTCP).u32());
        let mut port = Random::new(key, PORTS);
        let interface = Interface::new(interface_config, device, instant(now));
        let mut sockets = SocketSet::new(memory.sockets);
        let (emitter, ports) = memory.buffers.split_at_mut(StackMemory::EMITTER);
        let (dhcp, wanted) = match settings.addressing {
            Addressing::Dhcp => (Some(sockets.add(dhcp_socket())), None),
            Addressing::Static { cidr, gateway } => {
                let server = None;
                let lease = Lease {
                    cidr,
                    gateway,
                    server,
                };
                (None, Some(lease))
            }
        };
        let emitter = match settings.target {
            Target::Off => Emitter::Off,
            Target::Udp(remote) => {
                // The device's MTU counts the Ethernet header, smoltcp's `ip_mtu` does not.
                let limit = device
                    .capabilities()
                    .ip_mtu()
                    .saturating_sub(UDP_HEADERS)
                    .min(DATAGRAM_MAX);
                let buffer = udp::PacketBuffer::new(memory.datagram, &mut emitter[..DATAGRAM_MAX]);
                // No receive buffer: a receiver of metrics sends nothing.
                let mut socket =
                    udp::Socket::new(udp::PacketBuffer::new([].as_mut(), [].as_mut()), buffer);
                let bound = socket.bind(port.port());
                debug_assert!(bound.is_ok(), "the port is not 0");
                Emitter::Udp {
                    handle: sockets.add(socket),
                    remote,
                    limit,
                }
            }
            Target::Tcp(remote) => Emitter::Tcp(Client::new(
                remote,
                port,
                &mut emitter[..Client::MEMORY],
                &mut sockets,
            )),
        };
        let listening = [settings.control_port, settings.memtrace_port];
        let ports = Ports::new(listening, ports, &mut sockets);
        let gate = Gate::new(mac, key, listening, settings.allow, now);
        Self {
            interface,
            sockets,
            gate: RefCell::new(gate),
            frames: Frames::EMPTY,
            dhcp,
            current: None,
            wanted,
            emitter,
            ports,
            counts: FrameCounts::default(),
        }
    }

    /// Takes up to `budget` frames from the device and processes them. Returns their number. Stops early when the next
    /// SYN would find no listening socket.
    pub fn ingress<D: Device + ?Sized>(
        &mut self,
        now: Micros,
        device: &mut D,
        budget: usize,
    ) -> usize {
        self.follow_connections(now);
        let mut wire = Wire {
            device,
            frames: &mut self.frames,
            gate: &self.gate,
            now,
        };
        let mut frames = 0;
        while frames < budget {
            if let Some(port) = wire.frames.knocks {
                if frames > 0 {
                    // Connections that were refused get their reset first.
                    break;
                }
                self.ports.listen_now(port, &mut self.sockets);
                wire.frames.knocks = None;
            }
            self.ports
                .tell(&mut self.sockets, &mut self.gate.borrow_mut());
            let polled =
                self.interface
                    .poll_ingress_single(instant(now), &mut wire, &mut self.sockets);
            let handled = wire.frames.handled();
            frames += handled;
            match polled {
                PollIngressSingleResult::None if wire.frames.knocks.is_some() => {}
                PollIngressSingleResult::None if handled == 0 => break,
                PollIngressSingleResult::None => {}
                PollIngressSingleResult::PacketProcessed
                | PollIngressSingleResult::SocketStateChanged => {
                    frames += 1;
                }
            }
        }
        self.note(Closed::Reset);
        frames
    }

    /// Sends what is due, at most one frame per socket. Returns `true` if any frame was sent.
    pub fn egress<D: Device + ?Sized>(&mut self, now: Micros, device: &mut D) -> bool {
        self.follow_connections(now);
        let mut wire = Wire {
            device,
            frames: &mut self.frames,
            gate: &self.gate,
            now,
        };
        let sent = wire.send_due(instant(now));
        let result = self
            .interface
            .poll_egress(instant(now), &mut wire, &mut self.sockets);
        self.note(Closed::Silent);
        sent || result == PollResult::SocketStateChanged
    }

    /// Tells the gate what it must know of the sockets.
    fn follow_connections(&mut self, now: Micros) {
        let gate = self.gate.get_mut();
        gate.dhcp.follow(now);
        if let Emitter::Tcp(client) = &self.emitter {
            gate.follow(client.remote(), client.port());
        }
        let connections = || {
            let sockets = self.sockets.iter();
            sockets.filter_map(|(_, socket)| tcp::Socket::downcast(socket))
        };
        gate.connections.follow(connections().filter_map(|socket| {
            let (local, remote) = (socket.local_endpoint()?, socket.remote_endpoint()?);
            let IpAddress::Ipv4(address) = remote.addr;
            let ends = (local.port, SocketAddrV4::new(address, remote.port));
            Some((ends, socket.state() == tcp::State::FinWait1))
        }));
        gate.neighbours.keep(|address| {
            connections().any(|socket| {
                let remote = socket.remote_endpoint();
                remote.is_some_and(|remote| remote.addr == IpAddress::Ipv4(address))
            })
        });
    }

    /// Returns the next change of the address. The caller must call this between [`Stack::ingress`] and
    /// [`Stack::egress`] until it returns `None`.
    pub fn address_event(&mut self, now: Micros) -> Option<AddressEvent> {
        if let Some(refused) = self.poll_dhcp() {
            return Some(refused);
        }
        if self.current == self.wanted {
            return self
                .gate
                .get_mut()
                .neighbours
                .conflict()
                .map(AddressEvent::Contradicted);
        }
        if let Some(Lease { cidr, .. }) = self.current.take() {
            let gate = self.gate.get_mut();
            gate.neighbours.set_own(None);
            gate.forget();
            self.interface
                .update_ip_addrs(|addresses| addresses.clear());
            self.interface.routes_mut().remove_default_ipv4_route();
            if let Emitter::Tcp(client) = &mut self.emitter {
                client.drop_connection(&mut self.sockets);
            }
            self.counts.addresses_lost += 1;
            return Some(AddressEvent::Lost { cidr });
        }
        let lease = self.wanted?;
        let Lease {
            cidr,
            gateway,
            server,
        } = lease;
        self.current = Some(lease);
        let gate = self.gate.get_mut();
        gate.forget();
        let neighbours = &mut gate.neighbours;
        neighbours.set_own(Some(cidr));
        let on_link = |address: &Ipv4Addr| cidr.contains(*address);
        let receiver = match &self.emitter {
            Emitter::Off => None,
            Emitter::Udp { remote, .. } => Some(*remote.ip()),
            Emitter::Tcp(client) => Some(*client.remote().ip()),
        };
        for (role, host) in [
            (Role::Gateway, gateway),
            (Role::Receiver, receiver.filter(on_link)),
            (Role::DhcpServer, server.filter(on_link)),
        ] {
            if let Some(host) = host {
                neighbours.expect(role, host, now);
            }
        }
        // A network of two hosts, in which the other one is the router to everywhere: see `gate.rs`.
        let own = cidr.address();
        self.interface.update_ip_addrs(|addresses| {
            let pushed = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(own, 31)));
            debug_assert!(pushed.is_ok(), "the list was empty");
        });
        let router = Gate::router(own);
        let added = self.interface.routes_mut().add_default_ipv4_route(router);
        debug_assert!(added.is_ok(), "there was no route");
        let by = if self.dhcp.is_some() {
            By::Dhcp
        } else {
            By::Static
        };
        Some(AddressEvent::Gained { cidr, gateway, by })
    }

    /// Returns the interface's address.
    #[must_use]
    pub fn address(&self) -> Option<Cidr> {
        self.current.map(|lease| lease.cidr)
    }

    /// Returns `true` if packets to `remote` have a route: it is in the interface's network, or there is a gateway.
    #[must_use]
    pub fn has_route(&self, remote: Ipv4Addr) -> bool {
        self.current
            .is_some_and(|lease| lease.cidr.contains(remote) || lease.gateway.is_some())
    }

    /// Returns the time at which [`Stack::egress`] has something to do. A time in the past means now.
    pub fn poll_at(&mut self, now: Micros) -> Option<Micros> {
        let at = self.interface.poll_at(instant(now), &self.sockets);
        let at = at.map(|at| Micros(u64::try_from(at.total_micros()).unwrap_or(0)));
        [at, self.gate.get_mut().next()].into_iter().flatten().min()
    }

    /// Returns the way of emission.
    pub fn way(&mut self) -> Way<'_, 'a> {
        match &mut self.emitter {
            Emitter::Off => Way::Off,
            Emitter::Udp {
                handle,
                remote,
                limit,
            } => {
                let socket = self.sockets.get_mut(*handle);
                let hop = self.gate.get_mut().neighbours.hop(*remote.ip());
                Way::Udp(UdpWay {
                    socket,
                    remote: *remote,
                    limit: *limit,
                    has_hop: hop.is_some(),
                })
            }
            Emitter::Tcp(client) => {
                Way::Tcp(client.link(&mut self.sockets, self.interface.context()))
            }
        }
    }

    /// Lets the service work on the connections of the control port. Returns the latest time for the next call.
    pub fn serve_control(&mut self, now: Micros, service: &mut impl Service) -> Option<Micros> {
        self.ports
            .control
            .as_mut()?
            .serve(now, &mut self.sockets, service)
    }

    /// Does the same as [`Stack::serve_control`], for the memtrace port.
    pub fn serve_trace(&mut self, now: Micros, service: &mut impl Service) -> Option<Micros> {
        self.ports
            .trace
            .as_mut()?
            .serve(now, &mut self.sockets, service)
    }

    /// Returns the counts of the control port.
    #[must_use]
    pub fn control_counts(&self) -> ListenCounts {
        self.listen_counts(self.ports.control.as_ref())
    }

    /// Returns the counts of the memtrace port.
    #[must_use]
    pub fn trace_counts(&self) -> ListenCounts {
        self.listen_counts(self.ports.trace.as_ref())
    }

    fn listen_counts<const N: usize>(&self, listener: Option<&Listener<N>>) -> ListenCounts {
        listener.map_or_else(ListenCounts::default, |it| ListenCounts {
            denied: self.gate.borrow().denied(it.port()),
            ..*it.counts()
        })
    }

    /// Returns `true` if a connection of the memtrace port is open, or is being closed.
    #[must_use]
    pub fn is_trace_open(&self) -> bool {
        let listener = self.ports.trace.as_ref();
        listener.is_some_and(|it| !it.is_quiet())
    }

    /// Returns the numbers of TCP sockets by state. Cost: a look at each.
    #[must_use]
    pub fn socket_counts(&self) -> SocketCounts {
        let mut counts = SocketCounts::default();
        for (_, socket) in self.sockets.iter() {
            let Some(socket) = tcp::Socket::downcast(socket) else {
                continue;
            };
            let count = match socket.state() {
                tcp::State::Closed => continue,
                tcp::State::Listen => &mut counts.listening,
                tcp::State::SynSent | tcp::State::SynReceived => &mut counts.opening,
                tcp::State::Established => &mut counts.established,
                tcp::State::TimeWait => &mut counts.time_wait,
                tcp::State::FinWait1
                | tcp::State::FinWait2
                | tcp::State::CloseWait
                | tcp::State::Closing
                | tcp::State::LastAck => &mut counts.closing,
            };
            *count += 1;
        }
        counts
    }

    /// Returns the counts of the interface.
    #[must_use]
    pub fn frame_counts(&self) -> FrameCounts {
        let gate = self.gate.borrow();
        FrameCounts {
            frames_received: gate.traffic.frames_received,
            bytes_received: gate.traffic.bytes_received,
            frames_sent: gate.traffic.frames_sent,
            bytes_sent: gate.traffic.bytes_sent,
            dhcp_dropped: gate.dhcp.dropped(),
            arp_conflicts: gate.neighbours.conflicts(),
            ..self.counts
        }
    }

    fn note(&mut self, cause: Closed) {
        if let Emitter::Tcp(client) = &mut self.emitter {
            client.note(&self.sockets, cause);
        }
    }

    /// Follows the DHCP socket. Returns an event if a lease was refused.
    fn poll_dhcp(&mut self) -> Option<AddressEvent> {
        let socket = self.sockets.get_mut::<dhcpv4::Socket<'_>>(self.dhcp?);
        match socket.poll()? {
            dhcpv4::Event::Deconfigured => self.wanted = None,
            dhcpv4::Event::Configured(lease) => {
                let cidr = Cidr::new(lease.address.address(), lease.address.prefix_len());
                // The image will send renewals to this address.
                let server = lease.server.address;
                match cidr.filter(|_| is_unicast(server)) {
                    Some(cidr) => {
                        let gateway = lease.router.filter(|&router| {
                            cidr.contains(router) && Cidr::new(router, cidr.prefix()).is_some()
                        });
                        self.wanted = Some(Lease {
                            cidr,
                            gateway,
                            server: Some(server),
                        });
                    }
                    None => {
                        self.counts.leases_refused += 1;
                        self.wanted = None;
                        socket.reset();
                        let refused = self.counts.leases_refused;
                        return Some(AddressEvent::Refused { server, refused });
                    }
                }
            }
        }
        None
    }
}

fn is_unicast(address: Ipv4Addr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_broadcast())
}

fn dhcp_socket<'a>() -> dhcpv4::Socket<'a> {
    let mut socket = dhcpv4::Socket::new();
    let mut retry = dhcpv4::RetryConfig::default();
    // smoltcp's 10 s and 5 s are too long when the first frame is lost because the VMM's side is not ready yet. RFC
    // 2131, section 4.1 starts with 4 s, for networks of many clients.
    retry.discover_timeout = Duration::from_secs(2);
    retry.initial_request_timeout = Duration::from_secs(1);
    socket.set_retry_config(retry);
    socket
}

fn instant(at: Micros) -> Instant {
    Instant::from_micros_const(i64::try_from(at.0).unwrap_or(i64::MAX))
}

/// Datagrams to the configured address, for one round.
pub struct UdpWay<'s, 'a> {
    socket: &'s mut udp::Socket<'a>,
    remote: SocketAddrV4,
    limit: usize,
    /// `true` if the hardware address of the next hop is known.
    has_hop: bool,
}

impl Datagrams for UdpWay<'_, '_> {
    fn limit(&self) -> usize {
        self.limit
    }

    fn pending(&self) -> bool {
        self.socket.send_queue() > 0
    }

    fn send(&mut self, first: &[u8], second: &[u8]) -> bool {
        // A datagram to an unknown host would be lost, and its lines counted as sent.
        if !self.has_hop {
            return false;
        }
        let Ok(payload) = self.socket.send(first.len() + second.len(), self.remote) else {
            return false;
        };
        payload[..first.len()].copy_from_slice(first);
        payload[first.len()..].copy_from_slice(second);
        true
    }

    fn cancel(&mut self) {
        let endpoint = self.socket.endpoint();
        self.socket.close();
        let bound = self.socket.bind(endpoint);
        debug_assert!(bound.is_ok(), "it was bound to the same port before");
    }
}
