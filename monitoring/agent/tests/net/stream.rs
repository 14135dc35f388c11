//! A stream without a network: buffers that are as small as the test wants them.

use network::Stream;

/// One end of a connection whose other end is the test.
#[derive(Debug, Default)]
pub struct FakeStream {
    /// The bytes that the peer sent and that are still unread.
    pub arrived: Vec<u8>,
    /// `true` if the peer has closed its half.
    pub peer_closed: bool,
    /// Everything that was written.
    pub sent: Vec<u8>,
    /// The number of sent bytes that the peer has acknowledged.
    pub acknowledged: usize,
    /// The most bytes that one write takes.
    pub write_limit: Option<usize>,
    /// The most bytes that one peek shows.
    pub peek_limit: Option<usize>,
    /// The most bytes that may be written and not acknowledged.
    pub buffer: Option<usize>,
}

impl FakeStream {
    pub fn arrive(&mut self, bytes: &[u8]) {
        assert!(!self.peer_closed, "nothing arrives after the close");
        self.arrived.extend(bytes);
    }

    pub fn acknowledge(&mut self) {
        self.acknowledged = self.sent.len();
    }

    pub fn acknowledge_some(&mut self, count: usize) {
        self.acknowledged = self.sent.len().min(self.acknowledged + count);
    }
}

impl Stream for FakeStream {
    fn peek(&mut self) -> &[u8] {
        let count = self
            .arrived
            .len()
            .min(self.peek_limit.unwrap_or(usize::MAX));
        &self.arrived[..count]
    }

    fn consume(&mut self, count: usize) {
        assert!(count <= self.peek().len(), "more consumed than was shown");
        self.arrived.drain(..count);
    }

    fn ended(&self) -> bool {
        self.peer_closed
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let room = self
            .buffer
            .map_or(usize::MAX, |buffer| buffer - self.unacknowledged());
        let count = bytes
            .len()
            .min(self.write_limit.unwrap_or(usize::MAX))
            .min(room);
        self.sent.extend(&bytes[..count]);
        count
    }

    fn unacknowledged(&self) -> usize {
        self.sent.len() - self.acknowledged
    }
}
