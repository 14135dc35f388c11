//! A client of the memtrace port, and the profile in a trace, which is read strictly.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use hermon_machine::application::MEMTRACE_PORT;
use hermon_machine::qemu::{Forward, GUEST_BY_DHCP, Net};
use memtrace_reader::{Info, Kind, Trace};
use socket2::{Domain, Socket, Type};

use crate::{DEADLINE, control};

/// Ports of this host that are forwarded to the guest's control port and memtrace port.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// The port for the control port.
    pub control: control::Port,
    memtrace: u16,
}

impl Ports {
    /// Returns ports that are free now.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn free() -> Self {
        // Both are held until both are known, so that they differ.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self {
            control: control::Port::free(),
            memtrace: listener.local_addr().expect("bound").port(),
        }
    }

    /// Returns the address on this host that leads to the memtrace port.
    pub const fn memtrace_address(self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.memtrace)
    }

    /// Returns a user network that forwards the ports to a guest with an address by DHCP.
    pub fn network(self) -> Net {
        Net::User(self.forwards())
    }

    /// Returns the forwardings of the ports to a guest with an address by DHCP.
    pub fn forwards(self) -> Vec<Forward> {
        let memtrace = Forward {
            host: self.memtrace,
            address: GUEST_BY_DHCP,
            guest: MEMTRACE_PORT,
        };
        vec![self.control.forward_to(GUEST_BY_DHCP), memtrace]
    }

    /// Connects to the memtrace port.
    ///
    /// # Panics
    /// Panics if that is not possible.
    pub fn trace(self) -> Client {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.memtrace));
        Client::new(stream.expect("a connection"))
    }

    /// Connects to the memtrace port, unless QEMU has ended.
    ///
    /// # Panics
    /// Panics if that is not possible for another reason.
    pub fn trace_if_open(self) -> Option<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.memtrace));
        if_open(stream).map(Client::new)
    }

    /// Connects like [`Ports::trace_if_open`], with a receive buffer of about this size. So the host takes little from the guest
    /// while the test does not read.
    ///
    /// # Panics
    /// Panics if that is not possible for another reason.
    pub fn trace_with_buffer(self, bytes: usize) -> Option<Client> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        // The size must be set before connecting: the window that is offered at first is not taken back.
        socket.set_recv_buffer_size(bytes).expect("a buffer");
        let address = core::net::SocketAddr::from((Ipv4Addr::LOCALHOST, self.memtrace));
        if_open(socket.connect(&address.into()))?;
        Some(Client::new(socket.into()))
    }
}

/// Returns a connection, or `None` if nothing listens at the port.
fn if_open<T>(connected: std::io::Result<T>) -> Option<T> {
    match connected {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        connected => Some(connected.expect("a connection")),
    }
}

/// A connection to the memtrace port, and the bytes received so far.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        Self {
            stream,
            bytes: Vec::new(),
        }
    }

    /// Takes the challenge, which comes before the trace, and proves to know the token.
    ///
    /// # Panics
    /// Panics if there is no challenge.
    pub fn prove(&mut self, token: &str) {
        let mut challenge = String::new();
        while !challenge.ends_with('\n') {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a challenge");
            challenge.push(char::from(byte[0]));
        }
        let text = challenge.trim_end().strip_prefix("ok: ");
        let text = text.unwrap_or_else(|| panic!("no challenge: {challenge:?}"));
        let line = format!("auth {}\n", control::proof(token, text));
        self.stream
            .write_all(line.as_bytes())
            .expect("a connection");
    }

    /// Reads until this many bytes have come since the beginning.
    ///
    /// # Panics
    /// Panics if the guest closes before, or if nothing comes before the deadline.
    pub fn read_to(&mut self, bytes: usize) {
        let came = self.reads_to(bytes);
        assert!(came, "the guest closed after {}", self.bytes.len());
    }

    /// Reads like [`Client::read_to`], but returns `false` if the guest closes before.
    ///
    /// # Panics
    /// Panics if nothing comes before the deadline.
    pub fn reads_to(&mut self, bytes: usize) -> bool {
        while self.bytes.len() < bytes {
            match self.read() {
                Ok(0) => return false,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                taken => drop(taken.expect("bytes before the deadline")),
            }
        }
        true
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 1 << 16];
        let taken = self.stream.read(&mut buffer)?;
        self.bytes.extend(&buffer[..taken]);
        Ok(taken)
    }

    /// Sends bytes, which ends the trace.
    ///
    /// # Panics
    /// Panics if the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("a connection");
    }

    /// Closes this half, which ends the trace.
    ///
    /// # Panics
    /// Panics if the connection has ended.
    pub fn close_half(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("a connection");
    }

    /// Closes the connection with a reset.
    ///
    /// # Panics
    /// Panics if the socket lacks this option.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket
            .set_linger(Some(core::time::Duration::ZERO))
            .expect("an option");
    }

    /// Returns all bytes that have come and that come until the guest closes. A reset by the guest counts as a close.
    ///
    /// # Panics
    /// Panics if it does not close before the deadline.
    pub fn rest(mut self) -> Vec<u8> {
        loop {
            match self.read() {
                Ok(0) => return self.bytes,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.bytes,
                Err(error) => panic!("the guest does not close: {error}"),
            }
        }
    }

    /// Ends the trace as [`Client::close_half`] does, and reads it.
    ///
    /// # Panics
    /// Panics like [`Client::rest`] and [`Profile::read`].
    pub fn finish(mut self) -> Profile {
        self.close_half();
        Profile::read(&self.rest())
    }
}

/// A frame with its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The return address.
    pub code: u64,
    /// The positions that the trace gives for it, outermost first; empty if it gives none.
    pub positions: Vec<Position>,
}

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The function.
    pub function: String,
    /// The file.
    pub file: String,
    /// The line.
    pub line: u32,
}

/// A stack, outermost first.
pub type Stack = Arc<[Frame]>;

/// A sampled block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The time of its allocation, in microseconds since the trace began.
    pub at: u64,
    /// Its size in words.
    pub words: u64,
    /// The number of its sampled words.
    pub hits: u64,
    /// The backtrace of its allocation.
    pub stack: Stack,
    /// True if its free is in the trace.
    pub is_freed: bool,
}

/// A whole trace.
#[derive(Debug)]
pub struct Profile {
    /// The description in its first packet.
    pub info: Info,
    /// The blocks in it, in order.
    pub blocks: Vec<Block>,
    /// Its length.
    pub bytes: usize,
}

impl Profile {
    /// Reads a whole trace.
    ///
    /// # Panics
    /// Panics at the first broken rule of the format, and if the end of the trace is cut off.
    pub fn read(bytes: &[u8]) -> Self {
        let mut trace = Trace::new(bytes).unwrap_or_else(|error| panic!("{error}"));
        let info = trace.info().clone();
        let mut stacks: HashMap<Vec<u64>, Stack> = HashMap::new();
        let mut blocks: Vec<Block> = Vec::new();
        while let Some(event) = trace.next_event().unwrap_or_else(|error| panic!("{error}")) {
            match event.kind {
                Kind::Alloc(alloc) => {
                    let stack = stacks
                        .entry(alloc.stack.codes().to_vec())
                        .or_insert_with(|| alloc.stack.frames().map(frame).collect());
                    assert_eq!(alloc.id, blocks.len() as u64, "ids count");
                    blocks.push(Block {
                        at: event.since_start,
                        words: alloc.length,
                        hits: alloc.samples,
                        stack: stack.clone(),
                        is_freed: false,
                    });
                }
                // The reader has checked that it was alive.
                Kind::Collect(id) => blocks[id as usize].is_freed = true,
                Kind::Promote(id) => {
                    panic!("block {id} is promoted, but the image never promotes a block")
                }
                Kind::Location(_) => {}
            }
        }
        Self {
            info,
            blocks,
            bytes: bytes.len(),
        }
    }

    /// Returns the blocks with this function in their stack, by the last part of its name.
    pub fn of<'p>(&'p self, function: &'p str) -> impl Iterator<Item = &'p Block> {
        self.blocks
            .iter()
            .filter(move |block| block.passes(function))
    }

    /// Returns the hits of all blocks, lost ones included.
    pub fn hits(&self) -> u64 {
        self.blocks.iter().map(|block| block.hits).sum()
    }

    /// Returns the entries that stand for blocks that could not be recorded.
    pub fn lost(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| {
            let mut names = block.functions();
            names.any(|name| name.starts_with("[lost: "))
        })
    }
}

impl Block {
    /// Returns whether a function is in its stack, by the last part of its name.
    pub fn passes(&self, function: &str) -> bool {
        self.functions()
            .any(|name| name.rsplit("::").next() == Some(function))
    }

    /// Returns the functions of its stack, outermost first.
    pub fn functions(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.positions().map(|position| position.function.as_str())
    }

    /// Returns the positions of its stack, outermost first.
    pub fn positions(&self) -> impl DoubleEndedIterator<Item = &Position> {
        self.stack.iter().flat_map(|frame| &frame.positions)
    }
}

fn frame(frame: memtrace_reader::Frame<'_>) -> Frame {
    Frame {
        code: frame.code,
        positions: frame
            .positions
            .iter()
            .map(|position| Position {
                function: position.function.to_string(),
                file: position.file.to_string(),
                line: position.line,
            })
            .collect(),
    }
}
