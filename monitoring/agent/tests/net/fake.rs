//! A link without a network.

use network::{Closed, Link, LinkState, Stream, Unreachable};

pub use crate::stream::FakeStream;

/// A link whose peer is the test.
#[derive(Debug)]
pub struct FakeLink {
    pub stream: FakeStream,
    pub state: LinkState,
    /// Attempts to connect so far.
    pub attempts: usize,
    pub unreachable: bool,
    pub aborted: bool,
}

impl Default for FakeLink {
    fn default() -> Self {
        Self {
            stream: FakeStream::default(),
            state: LinkState::Closed(Closed::Here),
            attempts: 0,
            unreachable: false,
            aborted: false,
        }
    }
}

impl Stream for FakeLink {
    fn peek(&mut self) -> &[u8] {
        self.stream.peek()
    }

    fn consume(&mut self, count: usize) {
        self.stream.consume(count);
    }

    fn ended(&self) -> bool {
        self.stream.ended()
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        assert_eq!(
            self.state,
            LinkState::Open,
            "written to a connection that is not open"
        );
        self.stream.write(bytes)
    }

    fn unacknowledged(&self) -> usize {
        self.stream.unacknowledged()
    }
}

impl Link for FakeLink {
    fn state(&self) -> LinkState {
        self.state
    }

    fn connect(&mut self) -> Result<(), Unreachable> {
        assert!(
            matches!(self.state, LinkState::Closed(_)),
            "connected twice"
        );
        self.attempts += 1;
        if self.unreachable {
            return Err(Unreachable);
        }
        let FakeStream {
            write_limit,
            peek_limit,
            buffer,
            ..
        } = self.stream;
        self.stream = FakeStream {
            write_limit,
            peek_limit,
            buffer,
            ..FakeStream::default()
        };
        self.state = LinkState::Connecting;
        Ok(())
    }

    fn close(&mut self) {
        self.state = LinkState::Closing;
    }

    fn abort(&mut self) {
        self.aborted = true;
        self.state = LinkState::Closed(Closed::Here);
    }
}
