//! The network side of the agent, with fake streams and with real stacks on a fake wire.

mod address;
mod clients;
mod datagrams;
mod fake;
mod forged;
mod frames;
mod lan;
mod metrics;
mod neighbours;
mod push;
mod receiver;
mod stream;
mod throughput;
mod trace;
mod traced_heap;
