//! The reply to the command `s`.

use core::fmt;

use super::command::PROTOCOL;
use heap_profiler::HeapStats;
use network::outbox::Counts;
use network::{Cidr, Target};
use units::Micros;

/// The values that the command `s` shows.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// The time since boot.
    pub uptime: Micros,
    /// The interface's address, if it has one.
    pub address: Option<Cidr>,
    /// The receiver of metrics.
    pub target: Target,
    /// Counts of lines, by outcome.
    pub counts: Counts,
    /// Lines that wait or are in flight.
    pub lines_waiting: usize,
    /// Intervals that were missed.
    pub intervals_missed: u64,
    /// Restarts of the monitoring after a panic in its task.
    pub restarts: u64,
    /// The application's heap.
    pub heap: HeapStats,
    /// All memory that monitoring holds, in bytes. It takes this memory at its start and keeps it.
    pub monitoring_bytes: usize,
    /// The send buffer of the connection that gets a trace, in bytes.
    pub trace_buffer: usize,
}

/// Writes `key=value` pairs with one space between them.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uptime = self.uptime;
        write!(
            f,
            "version={} protocol={PROTOCOL}",
            env!("CARGO_PKG_VERSION")
        )?;
        write!(
            f,
            " uptime_s={}.{:06}",
            uptime.as_secs(),
            uptime.0 % 1_000_000
        )?;
        match self.address {
            Some(address) => write!(f, " address={address}")?,
            None => f.write_str(" address=none")?,
        }
        write!(f, " metrics={}", self.target)?;
        for (key, value) in [
            ("lines_sent", self.counts.lines_sent),
            ("lines_lost", self.counts.lines_lost()),
            ("lines_in_doubt", self.counts.lines_in_doubt),
            ("lines_waiting", self.lines_waiting as u64),
            ("connections_lost", self.counts.connections_lost),
            ("intervals_missed", self.intervals_missed),
            ("restarts", self.restarts),
            ("live_bytes", self.heap.live_bytes),
            ("live_blocks", self.heap.live_blocks),
            ("peak_bytes", self.heap.peak_bytes),
            ("free_bytes", self.heap.free_bytes),
            ("heap_bytes", self.heap.size_bytes),
            ("monitoring_bytes", self.monitoring_bytes as u64),
            ("trace_buffer", self.trace_buffer as u64),
        ] {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, SocketAddrV4};

    use super::*;
    use network::bounds::REPLY_MAX;

    fn largest_status() -> Status {
        let counts = Counts {
            lines_sent: u64::MAX,
            bytes_sent: u64::MAX,
            datagrams_sent: u64::MAX,
            lost_queue_full: u64::MAX,
            lost_too_long: 0,
            lines_resent: u64::MAX,
            lines_in_doubt: u64::MAX,
            connections: u64::MAX,
            connections_lost: u64::MAX,
            connect_failures: u64::MAX,
        };
        let heap = HeapStats {
            live_bytes: u64::MAX,
            live_blocks: u64::MAX,
            peak_bytes: u64::MAX,
            free_bytes: u64::MAX,
            size_bytes: u64::MAX,
            ..HeapStats::default()
        };
        Status {
            uptime: Micros::MAX,
            address: Cidr::new(Ipv4Addr::new(223, 255, 254, 254), 24),
            target: Target::Udp(SocketAddrV4::new(
                Ipv4Addr::new(223, 255, 255, 254),
                u16::MAX,
            )),
            counts,
            lines_waiting: usize::MAX,
            intervals_missed: u64::MAX,
            restarts: u64::MAX,
            heap,
            monitoring_bytes: usize::MAX,
            trace_buffer: usize::MAX,
        }
    }

    #[test]
    fn the_largest_status_is_one_line_that_fits() {
        let text = format!("ok: {}\n", largest_status());
        assert!(text.len() <= REPLY_MAX, "{text}");
        let [version, protocol] = [env!("CARGO_PKG_VERSION"), &PROTOCOL.to_string()];
        let begin = format!("ok: version={version} protocol={protocol} uptime_s=");
        assert!(text.starts_with(&begin), "{text}");
        assert!(
            text.contains(" address=223.255.254.254/24 metrics=udp://223.255.255.254:65535 "),
            "{text}"
        );
        assert!(
            text.ends_with(&format!(" trace_buffer={}\n", u64::MAX)),
            "{text}"
        );
        assert_eq!(text.matches('\n').count(), 1);
    }
}
