//! All memory that the network side ever needs. It is taken once, before the loop starts.

use alloc::vec::Vec;

use network::bounds::{ON_THE_WAY_BYTES, QUEUE_BYTES, TRACE_SEND_BYTES};
use network::stack::{NO_SOCKET, SOCKETS, SocketMemory, StackMemory};

use crate::control::Control;

/// Memory for queues, buffers and sockets.
#[derive(Debug)]
pub struct Storage<'a> {
    pub(crate) waiting: &'a mut [u8],
    pub(crate) on_the_way: &'a mut [u8],
    pub(crate) control: &'a mut [u8],
    pub(crate) stack: StackMemory<'a>,
    pub(crate) trace_send: usize,
}

impl Storage<'_> {
    /// Bytes of the sockets' state.
    const SOCKET_BYTES: usize = SOCKETS * size_of::<SocketMemory<'static>>();

    /// Returns the bytes of queues, buffers and sockets, if the connection that gets a trace has a send buffer of
    /// `trace_send` bytes.
    #[must_use]
    pub const fn bytes(trace_send: usize) -> usize {
        Self::buffers(trace_send) + Self::SOCKET_BYTES
    }

    const fn buffers(trace_send: usize) -> usize {
        QUEUE_BYTES + ON_THE_WAY_BYTES + Control::BYTES + StackMemory::bytes(trace_send)
    }
}

/// The heap has too little memory: this many bytes are needed in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory(pub usize);

impl core::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "no memory for {} bytes of buffers", self.0)
    }
}

impl core::error::Error for OutOfMemory {}

impl Storage<'static> {
    /// Takes the memory from the heap permanently, in three allocations. The connection that gets a trace has a send buffer
    /// of [`TRACE_SEND_BYTES`].
    ///
    /// # Errors
    /// [`OutOfMemory`]; the memory taken before is given back.
    pub fn take() -> Result<Self, OutOfMemory> {
        Self::take_with(TRACE_SEND_BYTES)
    }

    /// Does the same as [`Storage::take`], with a send buffer of `trace_send` bytes.
    ///
    /// # Errors
    /// [`OutOfMemory`]; the memory taken before is given back.
    pub fn take_with(trace_send: usize) -> Result<Self, OutOfMemory> {
        let count = Self::buffers(trace_send);
        let mut bytes = reserve(count, 1)?;
        let mut sockets = reserve(SOCKETS, size_of::<SocketMemory<'static>>())?;
        let mut datagram = reserve(1, 0)?;
        bytes.resize(count, 0);
        sockets.resize_with(SOCKETS, || NO_SOCKET);
        datagram.push(StackMemory::NO_DATAGRAM);
        let (waiting, rest) = bytes.leak().split_at_mut(QUEUE_BYTES);
        let (on_the_way, rest) = rest.split_at_mut(ON_THE_WAY_BYTES);
        let (control, buffers) = rest.split_at_mut(Control::BYTES);
        let stack = StackMemory {
            sockets: sockets.leak(),
            buffers,
            datagram: datagram.leak(),
        };
        Ok(Self {
            waiting,
            on_the_way,
            control,
            stack,
            trace_send,
        })
    }
}

impl Storage<'_> {
    /// Returns the memory without the sockets that another monitor has left in it.
    #[must_use]
    pub fn emptied(self) -> Self {
        self.stack.sockets.fill_with(|| NO_SOCKET);
        self
    }
}

fn reserve<T>(count: usize, bytes_each: usize) -> Result<Vec<T>, OutOfMemory> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(count)
        .map_err(|_| OutOfMemory(count * bytes_each))?;
    Ok(vec)
}

// `docs/PROMISES.md` promises under 192 KiB for everything.
const _: () = assert!(Storage::bytes(TRACE_SEND_BYTES) < 192 * 1024);
