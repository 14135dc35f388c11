//! The events of the memtrace port. Each is one line of the log.

use core::fmt;

use heap_profiler::StartError;

/// Something happened at the memtrace port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceEvent {
    /// A client gets a trace.
    Began,
    /// A trace has ended.
    Ended {
        /// Sampled blocks in the trace.
        allocs: u64,
        /// Sampled blocks whose free is in the trace.
        frees: u64,
        /// Bytes of the trace.
        bytes: u64,
        /// Sampled blocks that are only in its totals.
        lost: u64,
    },
    /// A client was closed because another one gets a trace. Sent for the 1st, 2nd, 4th, 8th … client that gets none.
    Refused {
        /// Clients since boot that got no trace.
        refused: u64,
    },
    /// A client was reset because all places are taken: by the client that gets a trace, or by clients that are being
    /// closed. Sent as often as `Refused`.
    TurnedAway {
        /// Clients since boot that got no trace.
        refused: u64,
    },
    /// The client was reset because it kept a packet waiting for too long.
    TooSlow {
        /// Samples that were not recorded meanwhile.
        lost: u64,
        /// Such clients since boot.
        slow: u64,
    },
    /// No trace can begin.
    Failed(StartError),
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began => f.write_str("a client gets a trace, the heap is sampled"),
            Self::Ended {
                allocs,
                frees,
                bytes,
                lost,
            } => write!(
                f,
                "the trace has ended, {allocs} allocations and {frees} frees in {bytes} bytes, {lost} lost"
            ),
            Self::Refused { refused } => write!(
                f,
                "a second client of the memtrace port was closed, another one gets a trace, refusal {refused}"
            ),
            Self::TurnedAway { refused } => write!(
                f,
                "a client of the memtrace port was reset, all its places are taken, refusal {refused}"
            ),
            Self::TooSlow { lost, slow } => write!(
                f,
                "the client of the memtrace port was reset, it reads too slowly or not at all, {lost} samples not recorded meanwhile, client {slow}"
            ),
            Self::Failed(error) => write!(f, "no trace can begin, {error}"),
        }
    }
}
