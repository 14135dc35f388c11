//! Attacks on the monitoring network: a hostile host on the guest's cable, beside an honest operator with real sockets.

mod cable;
mod door;
mod neighbours;
mod numbers;
