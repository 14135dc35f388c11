//! The ports that listen: control and memtrace.

use smoltcp::iface::SocketSet;

use super::gate::Gate;
use crate::bounds::{
    CONTROL_CONNECTIONS, CONTROL_RECEIVE_BYTES, CONTROL_SEND_BYTES, CONTROL_SOCKETS,
    TRACE_CONNECTIONS, TRACE_RECEIVE_BYTES, TRACE_SOCKETS, TRACE_SPARE_SEND_BYTES,
};
use crate::tcp::{Listener, Size};

const CONTROL: Size = Size {
    connections: CONTROL_CONNECTIONS,
    receive: CONTROL_RECEIVE_BYTES,
    send: CONTROL_SEND_BYTES,
    keep_alive: false,
};

const TRACE: Size = Size {
    connections: TRACE_CONNECTIONS,
    receive: TRACE_RECEIVE_BYTES,
    send: TRACE_SPARE_SEND_BYTES,
    keep_alive: true,
};

/// The configured listeners.
#[derive(Debug)]
pub(super) struct Ports {
    pub control: Option<Listener<CONTROL_SOCKETS>>,
    pub trace: Option<Listener<TRACE_SOCKETS>>,
}

impl Ports {
    /// Sockets of both.
    pub const SOCKETS: usize = CONTROL_SOCKETS + TRACE_SOCKETS;
    const CONTROL_BYTES: usize = CONTROL.memory(CONTROL_SOCKETS);

    /// Returns the bytes of their buffers, if the connection that gets a trace has a send buffer of `trace_send` bytes.
    pub const fn bytes(trace_send: usize) -> usize {
        Self::CONTROL_BYTES + Self::TRACE_BYTES + trace_send
    }

    /// Bytes of the buffers of the memtrace port without that one.
    const TRACE_BYTES: usize = TRACE.memory(TRACE_SOCKETS) - TRACE.send;

    /// Listens on these ports; `None` is off. `memory` has [`Ports::bytes`].
    pub fn new<'a>(
        [control_port, trace_port]: [Option<u16>; 2],
        memory: &'a mut [u8],
        sockets: &mut SocketSet<'a>,
    ) -> Self {
        let (control, trace) = memory.split_at_mut(Self::CONTROL_BYTES);
        Self {
            control: control_port.map(|port| Listener::new(port, CONTROL, control, sockets)),
            trace: trace_port.map(|port| Listener::new(port, TRACE, trace, sockets)),
        }
    }

    /// Prepares the sockets for a SYN, and tells the gate at which ports one listens.
    pub fn tell(&mut self, sockets: &mut SocketSet<'_>, gate: &mut Gate) {
        if let Some(control) = &mut self.control {
            control.forget_handshakes(sockets);
            gate.listens(control.port(), control.listens(sockets));
        }
        if let Some(trace) = &mut self.trace {
            trace.forget_handshakes(sockets);
            gate.listens(trace.port(), trace.listens(sockets));
        }
    }

    /// Makes a socket listen at this port, see [`Listener::listen_now`].
    pub fn listen_now(&mut self, port: u16, sockets: &mut SocketSet<'_>) {
        if let Some(control) = &mut self.control
            && control.port() == port
        {
            control.listen_now(sockets);
        }
        if let Some(trace) = &mut self.trace
            && trace.port() == port
        {
            trace.listen_now(sockets);
        }
    }
}
