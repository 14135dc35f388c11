//! A ring of whole lines in fixed memory.
//!
//! ```text
//!        start                      start + len
//!          ▼                            ▼
//! ┌────────┬──────────┬────────┬────────┬──────────┐
//! │  free  │ line 1 ⏎ │ line 2 ⏎ line 3 ⏎│   free   │      bytes wrap around; a line may be cut in two by the end
//! └────────┴──────────┴────────┴────────┴──────────┘
//! ```
//!
//! A line is its bytes and one line feed at its end. Nothing else marks its end: the ring's content is the stream as it
//! is sent.

/// The line does not fit; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Whole lines, first in, first out. Never allocates.
#[derive(Debug)]
pub struct LineRing<'a> {
    storage: &'a mut [u8],
    start: usize,
    len: usize,
    lines: usize,
    max_lines: usize,
}

impl<'a> LineRing<'a> {
    /// Creates an empty ring over `storage`, for at most `max_lines` lines.
    #[must_use]
    pub const fn new(storage: &'a mut [u8], max_lines: usize) -> Self {
        Self {
            storage,
            start: 0,
            len: 0,
            lines: 0,
            max_lines,
        }
    }

    /// Returns the number of lines.
    #[must_use]
    pub const fn lines(&self) -> usize {
        self.lines
    }

    /// Returns the number of bytes, with line feeds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns `true` if there are no lines.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of free bytes.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.storage.len() - self.len
    }

    /// Adds one line at the end. Cost: one copy.
    ///
    /// # Errors
    /// [`Full`] if the line does not fit, or is not one line; then nothing is changed.
    pub fn push(&mut self, line: &[u8]) -> Result<(), Full> {
        let fits = line.len() <= self.storage.len() - self.len && self.lines < self.max_lines;
        if !fits || !is_one_line(line) {
            return Err(Full);
        }
        self.append(line);
        self.lines += 1;
        Ok(())
    }

    /// Returns the length of the oldest line, with its line feed. Cost: a search through that line.
    #[must_use]
    pub fn front_len(&self) -> Option<usize> {
        let (first, second) = self.tail(0);
        let end = first.iter().chain(second).position(|&byte| byte == b'\n')?;
        Some(end + 1)
    }

    /// Returns the oldest line, in up to two pieces.
    #[must_use]
    pub fn front(&self) -> Option<(&[u8], &[u8])> {
        let len = self.front_len()?;
        let (first, second) = self.tail(0);
        let cut = len.min(first.len());
        Some((&first[..cut], &second[..len - cut]))
    }

    /// Removes the oldest line and returns its length; 0 if there is none.
    pub fn pop(&mut self) -> usize {
        let Some(len) = self.front_len() else {
            return 0;
        };
        self.start = self.index(len);
        self.len -= len;
        self.lines -= 1;
        len
    }

    /// Returns all bytes from `offset` on (counted from the oldest line), in up to two pieces.
    #[must_use]
    pub fn tail(&self, offset: usize) -> (&[u8], &[u8]) {
        let offset = offset.min(self.len);
        let from = self.index(offset);
        let count = self.len - offset;
        let first = count.min(self.storage.len() - from);
        (
            &self.storage[from..from + first],
            &self.storage[..count - first],
        )
    }

    /// Moves the oldest line of `self` to the end of `to`. Returns its length.
    ///
    /// # Errors
    /// [`Full`] if there is no line or it does not fit; then nothing is changed.
    pub fn move_front(&mut self, to: &mut LineRing<'_>) -> Result<usize, Full> {
        let (first, second) = self.front().ok_or(Full)?;
        let len = first.len() + second.len();
        if len > to.storage.len() - to.len || to.lines == to.max_lines {
            return Err(Full);
        }
        for piece in [first, second] {
            to.append(piece);
        }
        to.lines += 1;
        self.pop();
        Ok(len)
    }

    /// Copies bytes to the end. The caller has checked that they fit.
    fn append(&mut self, bytes: &[u8]) {
        let end = self.index(self.len);
        let cut = bytes.len().min(self.storage.len() - end);
        self.storage[end..end + cut].copy_from_slice(&bytes[..cut]);
        self.storage[..bytes.len() - cut].copy_from_slice(&bytes[cut..]);
        self.len += bytes.len();
    }

    const fn index(&self, offset: usize) -> usize {
        let index = self.start + offset;
        if index >= self.storage.len() {
            index - self.storage.len()
        } else {
            index
        }
    }
}

/// Returns `true` if the bytes end with their only line feed.
fn is_one_line(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .is_some_and(|at| at + 1 == bytes.len())
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    fn all(ring: &LineRing<'_>, offset: usize) -> Vec<u8> {
        let (first, second) = ring.tail(offset);
        [first, second].concat()
    }

    #[test]
    fn what_is_not_one_line_is_refused_and_changes_nothing() {
        let mut storage = [0; 8];
        let mut ring = LineRing::new(&mut storage, 2);
        for bad in [&b""[..], b"a", b"\n\n", b"a\nb", b"12345678\n"] {
            assert_eq!(ring.push(bad), Err(Full), "{bad:?}");
            assert!(ring.is_empty());
        }
        assert_eq!(ring.push(b"a\n"), Ok(()));
        assert_eq!(ring.push(b"\n"), Ok(()));
        assert_eq!(ring.push(b"\n"), Err(Full), "two lines are the limit");
        assert_eq!(all(&ring, 0), b"a\n\n");
    }

    #[test]
    fn a_ring_without_memory_holds_nothing() {
        let mut ring = LineRing::new(&mut [], 1);
        assert_eq!(ring.push(b"\n"), Err(Full));
        assert_eq!(ring.pop(), 0);
        assert_eq!(ring.front(), None);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push(usize),
        Pop,
        Move,
    }

    proptest! {
        #[test]
        fn a_ring_is_a_queue_of_lines(
            ops in prop::collection::vec(
                prop_oneof![3 => (0_usize..9).prop_map(Op::Push), 1 => Just(Op::Pop), 2 => Just(Op::Move)], 0..200),
            size in 1_usize..20, max_lines in 1_usize..5,
        ) {
            let mut storage = vec![0; size];
            let mut ring = LineRing::new(&mut storage, max_lines);
            let mut other_storage = vec![0; 7];
            let mut other = LineRing::new(&mut other_storage, 3);
            let mut oracle: [VecDeque<Vec<u8>>; 2] = Default::default();
            let bytes = |queue: &VecDeque<Vec<u8>>| queue.iter().flatten().copied().collect::<Vec<u8>>();
            for (number, op) in ops.into_iter().enumerate() {
                match op {
                    Op::Push(len) => {
                        let mut line = vec![b'a' + (number % 26) as u8; len];
                        line.push(b'\n');
                        let fits = bytes(&oracle[0]).len() + line.len() <= size && oracle[0].len() < max_lines;
                        prop_assert_eq!(ring.push(&line).is_ok(), fits);
                        if fits {
                            oracle[0].push_back(line);
                        }
                    }
                    Op::Pop => {
                        let popped = oracle[0].pop_front().map_or(0, |line| line.len());
                        prop_assert_eq!(ring.pop(), popped);
                    }
                    Op::Move => {
                        let fits = oracle[0].front().is_some_and(|line| {
                            bytes(&oracle[1]).len() + line.len() <= 7 && oracle[1].len() < 3
                        });
                        prop_assert_eq!(ring.move_front(&mut other).is_ok(), fits);
                        if fits {
                            let line = oracle[0].pop_front().expect("it fits, so it is there");
                            oracle[1].push_back(line);
                        } else if let Some(line) = oracle[1].pop_front() {
                            prop_assert_eq!(other.pop(), line.len());
                        }
                    }
                }
                for (ring, oracle) in [(&ring, &oracle[0]), (&other, &oracle[1])] {
                    let expected = bytes(oracle);
                    prop_assert_eq!(ring.lines(), oracle.len());
                    prop_assert_eq!(ring.len(), expected.len());
                    prop_assert_eq!(ring.front_len(), oracle.front().map(Vec::len));
                    for offset in 0..=expected.len() {
                        prop_assert_eq!(&all(ring, offset), &expected[offset..]);
                    }
                }
            }
        }
    }
}
