//! A wire with the monitored image at one end and a peer's stack at the other, in simulated time.
//!
//! The image's device is stricter than a real one: it can run out of room, and the wire can drop, double and swap
//! frames. The peer is also smoltcp, with its own sockets.

use core::net::Ipv4Addr;
use std::collections::{BTreeMap, VecDeque};

use agent::Seed;
use agent::config::{Addressing, Allow, Config, parse_cidr, parse_interval};
use agent::control::Help;
use agent::monitor::{Event, Monitor, Next, Subject};
use agent::sources::Image;
use agent::storage::Storage;
use heap_profiler::{HeapSource, HeapStats};
use logging::{Level, Table};
use metrics::{Registry, SeriesCache};
use smoltcp::iface::{Config as PeerConfig, Interface, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use units::{Micros, Now, UnixNanos};

pub const GUEST_MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
pub const PEER_MAC: [u8; 6] = [0x52, 0x55, 10, 0, 2, 2];
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const METRICS: u16 = 8094;
pub const CONTROL: u16 = 2323;
/// 2026-01-01T00:00:00Z at boot.
pub const BOOT: UnixNanos = UnixNanos(1_767_225_600_000_000_000);

/// The reply to `?`, a command that changes nothing.
pub fn help() -> String {
    format!("ok: {Help}\n")
}

/// A network card: frames that have arrived, frames to be sent.
#[derive(Debug)]
pub struct Nic {
    pub arrived: VecDeque<Vec<u8>>,
    pub sent: VecDeque<Vec<u8>>,
    /// The number of frames that may wait to be sent.
    pub room: usize,
    pub mtu: usize,
}

impl Default for Nic {
    fn default() -> Self {
        Self {
            arrived: VecDeque::new(),
            sent: VecDeque::new(),
            room: 64,
            mtu: 1514,
        }
    }
}

pub struct Rx(Vec<u8>);
pub struct Tx<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Nic {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx<'_>)> {
        if self.sent.len() >= self.room {
            return None;
        }
        let frame = self.arrived.pop_front()?;
        Some((Rx(frame), Tx(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Tx<'_>> {
        (self.sent.len() < self.room).then_some(Tx(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

/// A heap whose numbers grow with every reading.
pub struct Heap;

impl HeapSource for Heap {
    fn stats(&self) -> HeapStats {
        HeapStats {
            allocations: 100,
            frees: 60,
            allocated_bytes: 10_000,
            freed_bytes: 6_000,
            live_bytes: 4_000,
            live_blocks: 40,
            peak_bytes: 5_000,
            failed: 1,
            size_bytes: 1 << 20,
            free_bytes: (1 << 20) - 4_000,
            largest_free_bytes: Some(1 << 19),
        }
    }
}

/// The faults of the wire, each per 1,000 frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub drop: u64,
    pub double: u64,
    pub swap: u64,
}

/// The peer's stack and its sockets.
pub struct Peer {
    pub nic: Nic,
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    port: u16,
}

impl Peer {
    pub fn new() -> Self {
        let mut nic = Nic {
            room: usize::MAX,
            ..Nic::default()
        };
        let mut config = PeerConfig::new(EthernetAddress(PEER_MAC).into());
        config.random_seed = 99;
        let mut interface = Interface::new(config, &mut nic, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::Ipv4(PEER), 24))
                .expect("room for an address");
        });
        let sockets: &'static mut [SocketStorage<'static>] =
            core::iter::repeat_with(|| SocketStorage::EMPTY)
                .take(64)
                .collect::<Vec<_>>()
                .leak();
        Self {
            nic,
            interface,
            sockets: SocketSet::new(sockets),
            port: 40_000,
        }
    }

    pub fn udp(&mut self, port: u16) -> SocketHandle {
        let buffer = |packets| {
            let metadata = vec![udp::PacketMetadata::EMPTY; packets].leak();
            udp::PacketBuffer::new(metadata, vec![0; 1 << 20].leak())
        };
        let mut socket = udp::Socket::new(buffer(1000), buffer(1));
        socket.bind(port).expect("the port is free");
        self.sockets.add(socket)
    }

    /// Adds a socket with a receive buffer of this size.
    pub fn tcp(&mut self, receive: usize) -> SocketHandle {
        let buffer = |size| tcp::SocketBuffer::new(vec![0; size].leak());
        let mut socket = tcp::Socket::new(buffer(receive), buffer(4096));
        socket.set_ack_delay(None);
        self.sockets.add(socket)
    }

    pub fn listen(&mut self, handle: SocketHandle) {
        self.get(handle)
            .listen(METRICS)
            .expect("the socket was closed before");
    }

    /// Starts a connection to the control port.
    pub fn connect(&mut self, handle: SocketHandle) {
        self.port += 1;
        let port = self.port;
        let context = self.interface.context();
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(handle);
        socket
            .connect(context, (IpAddress::Ipv4(GUEST), CONTROL), port)
            .expect("the socket was closed before");
    }

    /// Sends a SYN to the control port from an address that is not the peer's, and that answers nothing.
    pub fn spoof_syn(&mut self, port: u16) {
        let address = Ipv4Addr::new(10, 0, 2, 20 + (port % 200) as u8);
        self.nic.sent.push_back(crate::forged::syn(address, port));
    }

    pub fn get(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }

    pub fn state(&mut self, handle: SocketHandle) -> tcp::State {
        self.get(handle).state()
    }

    pub fn send(&mut self, handle: SocketHandle, bytes: &[u8]) {
        let sent = self.get(handle).send_slice(bytes);
        assert_eq!(sent, Ok(bytes.len()));
    }

    /// Returns everything that has arrived.
    pub fn receive(&mut self, handle: SocketHandle) -> String {
        let mut all = Vec::new();
        let socket = self.get(handle);
        while socket.can_recv() {
            socket
                .recv(|bytes| {
                    all.extend(&*bytes);
                    (bytes.len(), ())
                })
                .expect("it can receive");
        }
        String::from_utf8(all).expect("text")
    }

    /// Returns all datagrams that have arrived.
    pub fn datagrams(&mut self, handle: SocketHandle) -> Vec<String> {
        let socket = self.sockets.get_mut::<udp::Socket<'_>>(handle);
        let mut all = Vec::new();
        while let Ok((bytes, _)) = socket.recv() {
            all.push(String::from_utf8(bytes.to_vec()).expect("text"));
        }
        all
    }
}

/// A function that sees a frame of the image and returns the frames that go back to it.
pub type Tap = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>>>;

/// The image, the wire, the peer.
pub struct Lan {
    pub registry: &'static Registry,
    pub log: &'static Table,
    pub monitor: Monitor<'static>,
    pub nic: Nic,
    pub peer: Peer,
    /// `true` if frames reach the peer and come back.
    pub connected: bool,
    pub faults: Faults,
    pub now: Micros,
    /// All events of the image, each with its time.
    pub events: Vec<(Micros, Event)>,
    pub turns: usize,
    /// Sees the image's frames before the peer.
    pub tap: Option<Tap>,
    random: u64,
}

/// Creates a registry for one test. Unoptimized code moves it over the stack several times, and a test's thread has too
/// little stack for that.
fn registry() -> &'static Registry {
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    let made = thread.spawn(|| {
        &*Box::leak(Box::new(Registry::new(Box::leak(Box::new(
            SeriesCache::new(),
        )))))
    });
    made.expect("a thread").join().expect("a registry")
}

/// Returns a configuration with a static address, whose network may connect.
pub fn config(target: &str, interval: &str) -> Config {
    Config {
        target: agent::config::Target::parse(target).expect("a target"),
        interval: parse_interval(interval).expect("an interval"),
        addressing: Addressing::Static {
            cidr: parse_cidr("10.0.2.15/24").expect("an address"),
            gateway: None,
        },
        allow: Allow::parse("10.0.2.0/24").expect("a network"),
        ..Config::default()
    }
}

impl Lan {
    pub fn new(config: &Config) -> Self {
        Self::with_nic(config, Nic::default())
    }

    pub fn with_nic(config: &Config, mut nic: Nic) -> Self {
        let storage = Storage::take().expect("memory");
        let now = Now {
            mono: Micros::ZERO,
            unix: BOOT,
        };
        let registry = registry();
        let log = Box::leak(Box::new(Table::new(Level::Info, |_| {})));
        let subject = Subject {
            heap: &Heap,
            registry,
            log,
            image: Image::default(),
            trace: None,
            machine: None,
            restarts: 0,
        };
        let monitor = Monitor::new(
            config,
            subject,
            storage,
            &mut nic,
            GUEST_MAC,
            &Seed::of_samples(&[7]),
            now,
        );
        // Most tests look at these two. Others switch on the sources that they need.
        registry.disable_all();
        for source in ["memory", "monitoring"] {
            registry.enable(source).expect("a built-in source");
        }
        Self {
            registry,
            log,
            monitor,
            nic,
            peer: Peer::new(),
            connected: true,
            faults: Faults::default(),
            now: Micros::ZERO,
            events: Vec::new(),
            turns: 0,
            tap: None,
            random: 1,
        }
    }

    /// Runs one turn of the image with the frames that have arrived.
    pub fn turn(&mut self) -> Next {
        self.turns += 1;
        let now = Now {
            mono: self.now,
            unix: BOOT + self.now,
        };
        let events = &mut self.events;
        self.monitor.turn(now, &mut self.nic, &mut |event| {
            events.push((now.mono, event));
        })
    }

    /// Runs both ends until nothing moves. Returns the time at which the image wants to be called again.
    fn settle(&mut self) -> Micros {
        for _ in 0..100_000 {
            let next = self.turn();
            let mut moved = false;
            while let Some(frame) = self.nic.sent.pop_front() {
                moved = true;
                if let Some(tap) = &mut self.tap {
                    self.nic.arrived.extend(tap(&frame));
                }
                self.carry(frame, true);
            }
            let peer = &mut self.peer;
            peer.interface.poll(
                Instant::from_micros(self.now.0 as i64),
                &mut peer.nic,
                &mut peer.sockets,
            );
            while let Some(frame) = self.peer.nic.sent.pop_front() {
                moved = true;
                self.carry(frame, false);
            }
            match next {
                Next::Again => {}
                Next::At(at) if !moved => {
                    assert!(at > self.now, "{at} is not after {}", self.now);
                    return at;
                }
                Next::At(_) => {}
            }
        }
        panic!("the two ends do not come to rest");
    }

    fn carry(&mut self, frame: Vec<u8>, to_peer: bool) {
        if !self.connected || self.chance() < self.faults.drop {
            return;
        }
        let copies = if self.chance() < self.faults.double {
            2
        } else {
            1
        };
        let swap = self.chance() < self.faults.swap;
        let queue = if to_peer {
            &mut self.peer.nic.arrived
        } else {
            &mut self.nic.arrived
        };
        for _ in 0..copies {
            let at = if swap {
                queue.len().saturating_sub(1)
            } else {
                queue.len()
            };
            queue.insert(at, frame.clone());
        }
    }

    /// Returns 0 to 999. Xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
    fn chance(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 1000
    }

    /// Runs everything that is due, without passing time.
    pub fn run_now(&mut self) {
        self.settle();
    }

    /// Lets this much time pass, jumping from deadline to deadline.
    pub fn run(&mut self, span: Micros) {
        let end = self.now + span;
        self.run_until(end, |_| false);
    }

    /// Runs until `done` returns `true`; fails after ten simulated minutes.
    pub fn run_until_done(&mut self, what: &str, done: impl FnMut(&mut Self) -> bool) {
        let end = self.now + Micros::from_secs(600);
        assert!(
            self.run_until(end, done),
            "it never happened: {what}; {:#?}",
            self.events
        );
    }

    fn run_until(&mut self, end: Micros, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        loop {
            let image = self.settle();
            if done(self) {
                return true;
            }
            if self.now >= end {
                return false;
            }
            let peer = &mut self.peer;
            let at = peer
                .interface
                .poll_at(Instant::from_micros(self.now.0 as i64), &peer.sockets);
            let peer = at.map_or(Micros::MAX, |at| Micros(at.total_micros().max(0) as u64));
            self.now = image.min(peer).max(self.now + Micros(1)).min(end);
        }
    }

    /// Returns the text of all events so far, one per line.
    pub fn log(&self) -> String {
        self.events
            .iter()
            .map(|(_, event)| format!("{event}\n"))
            .collect()
    }

    /// Returns the number of events that match.
    pub fn count(&self, matches: impl Fn(&Event) -> bool) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| matches(event))
            .count()
    }
}

/// One line, parsed by a crate that shares no code with the encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub measurement: String,
    pub tags: BTreeMap<String, String>,
    pub fields: BTreeMap<String, i64>,
    pub timestamp: i64,
}

/// Parses text that must consist of whole lines.
pub fn parse(text: &str) -> Vec<Line> {
    assert!(
        text.is_empty() || text.ends_with('\n'),
        "the last line is cut: {text:?}"
    );
    influxdb_line_protocol::parse_lines(text)
        .map(|line| {
            let line = line.unwrap_or_else(|error| panic!("{error}: {text:?}"));
            let tags = line.series.tag_set.iter().flatten();
            Line {
                measurement: line.series.measurement.to_string(),
                tags: tags
                    .map(|(key, value)| (key.to_string(), value.to_string()))
                    .collect(),
                fields: line
                    .field_set
                    .iter()
                    .map(|(key, value)| match value {
                        influxdb_line_protocol::FieldValue::I64(value) => (key.to_string(), *value),
                        other => panic!("{key} is not an integer: {other:?}"),
                    })
                    .collect(),
                timestamp: line.timestamp.expect("a timestamp"),
            }
        })
        .collect()
}

/// Returns the value of a field of the source `monitoring` in the last of these lines.
pub fn own(lines: &[Line], field: &str) -> i64 {
    let line = lines
        .iter()
        .rfind(|line| line.measurement == "monitoring")
        .expect("a line of the source monitoring");
    *line
        .fields
        .get(field)
        .unwrap_or_else(|| panic!("no field {field} in {line:?}"))
}
