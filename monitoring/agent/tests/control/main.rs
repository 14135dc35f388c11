//! The control port without its sockets: sessions on fake streams, against an oracle and accepted transcripts.

mod corpus;
mod fixture;
mod oracle;
mod properties;
mod session;
#[path = "../net/stream.rs"]
mod stream;
mod transcripts;
