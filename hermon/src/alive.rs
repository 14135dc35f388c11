//! Makes the system notice that a peer is gone, although nothing says so.
//!
//! A machine that crashes ends its connections without a word. This host would keep them permanently: a receiver that
//! only reads never sends anything that fails.

use core::time::Duration;
use std::io;
use std::os::fd::AsFd;

use rustix::net::sockopt::{
    set_socket_keepalive, set_tcp_keepcnt, set_tcp_keepidle, set_tcp_keepintvl,
    set_tcp_user_timeout,
};

/// The silence after which the system asks whether the peer is still there.
const IDLE: Duration = Duration::from_secs(30);

/// The time between two such questions.
const BETWEEN: Duration = Duration::from_secs(10);

/// The number of questions without an answer after which the connection is over: a minute after the first of them.
const QUESTIONS: u32 = 6;

/// The time for which sent bytes may stay unacknowledged, in milliseconds. It also ends a connection whose peer takes
/// nothing more.
const UNTAKEN: u32 = 90_000;

/// Sets the limits: a peer that is gone ends the connection after 90 seconds.
///
/// # Errors
/// The system's error.
pub(crate) fn watch(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd();
    set_socket_keepalive(socket, true)?;
    set_tcp_keepidle(socket, IDLE)?;
    set_tcp_keepintvl(socket, BETWEEN)?;
    set_tcp_keepcnt(socket, QUESTIONS)?;
    set_tcp_user_timeout(socket, UNTAKEN)?;
    Ok(())
}
