//! The bounded buffer between everything that prints and the serial port, in whole lines.
//!
//! ```text
//!  push ──▶ │ whole: may leave │ open: the unfinished line │ free │          next, took ──▶ serial port
//!              no room: the whole line is dropped and counted; once half is free, a line says how many
//! ```
//!
//! The kernel owns the one buffer of an image, under its console's lock. `build.rs` copies this file into the kernel's source, and
//! `kernel/patches/0011-console.patch` uses it. It is pure, so that its tests run on the host.

use core::fmt::{self, Write};

/// The size of the buffer: eight of the longest lines, or some 200 usual ones, 0.1 % of the smallest machine's memory.
pub const CAPACITY: usize = 16 * 1024;

/// The longest piece that [`Lines::push`] takes, and the longest line that stays whole. It is the longest line that this crate
/// prints in one piece. A longer line enters in pieces, which may leave before its end is known.
pub const PIECE_MAX: usize = 2048;

/// The room that lines never take: for the end of a line that was cut, and the line that tells a loss, which has at most 81 bytes.
const RESERVE: usize = 96;

/// The free room from which lines are taken again after a loss, so that one loss line stands for many lines.
const ROOM_AGAIN: usize = CAPACITY / 2;

/// Lines that were dropped, and the bytes in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Lines of which at least a part was dropped.
    pub lines: u64,
    /// The bytes that were dropped.
    pub bytes: u64,
}

/// The buffer.
pub struct Lines {
    bytes: [u8; CAPACITY],
    /// The place of the oldest byte.
    start: usize,
    /// The bytes from there that may leave.
    whole: usize,
    /// The bytes after these, of a line whose end has not come yet.
    open: usize,
    /// A part of the present line was given to `whole` before its end came.
    split: bool,
    /// The rest of the present line is being dropped.
    dropping: bool,
    /// The loss since the last loss line.
    untold: Lost,
    /// The loss since boot.
    lost: Lost,
}

impl Lines {
    /// Creates an empty buffer.
    pub const fn new() -> Self {
        const NOTHING: Lost = Lost { lines: 0, bytes: 0 };
        Self {
            bytes: [0; CAPACITY],
            start: 0,
            whole: 0,
            open: 0,
            split: false,
            dropping: false,
            untold: NOTHING,
            lost: NOTHING,
        }
    }

    /// Adds a piece of a line, of at most [`PIECE_MAX`] bytes. Only its last byte may be the line's end. Without room, the whole line
    /// is dropped, except a part that was longer than a piece.
    pub fn push(&mut self, piece: &[u8]) {
        let is_end = piece.last() == Some(&b'\n');
        let is_start = self.open == 0 && !self.split && !self.dropping;
        if is_start && !self.tell(ROOM_AGAIN) {
            self.dropping = true;
        }
        if !self.dropping && !self.has_room(piece.len()) {
            self.dropping = true;
            self.count(0, self.open);
            self.open = 0;
            if self.split {
                self.put(b"\n");
                self.commit();
            }
        }
        if self.dropping {
            self.count(u64::from(is_end), piece.len());
        } else {
            self.put(piece);
            if is_end || self.open >= PIECE_MAX {
                self.commit();
                self.split = !is_end;
            }
        }
        if is_end {
            (self.dropping, self.split) = (false, false);
        }
    }

    /// Returns `true` if a piece of this length would be kept: there is room for it, and no loss waits to be told before it.
    pub const fn takes(&self, length: usize) -> bool {
        self.has_room(length) && (self.untold.lines == 0 || self.free() >= ROOM_AGAIN)
    }

    const fn has_room(&self, length: usize) -> bool {
        self.free() >= length + RESERVE
    }

    /// Returns the byte that leaves next, if one may leave. Tells a loss as soon as there is room for it.
    pub fn next(&mut self) -> Option<u8> {
        if self.untold.lines > 0 && self.open == 0 && !self.split && !self.dropping {
            self.tell(ROOM_AGAIN);
        }
        (self.whole > 0).then(|| self.bytes[self.start % CAPACITY])
    }

    /// Removes the byte that [`Lines::next`] returned: it has left.
    pub const fn took(&mut self) {
        if self.whole > 0 {
            self.start = (self.start + 1) % CAPACITY;
            self.whole -= 1;
        }
    }

    /// Lets everything leave, because nothing is printed any more: the unfinished line, and the line about a loss.
    pub fn finish(&mut self) {
        self.commit();
        if self.dropping {
            self.count(1, 0);
            self.dropping = false;
        }
        self.split = false;
        self.tell(RESERVE);
    }

    /// Returns the loss since boot.
    pub const fn lost(&self) -> Lost {
        self.lost
    }

    /// Adds the line about the loss, if there is one and if so much room is free. Returns `false` if it has to wait.
    fn tell(&mut self, room: usize) -> bool {
        if self.untold.lines == 0 {
            return true;
        }
        if self.free() < room {
            return false;
        }
        let Lost { lines, bytes } = core::mem::take(&mut self.untold);
        let _ = writeln!(self, "console: {lines} lines lost, {bytes} bytes");
        self.commit();
        true
    }

    const fn free(&self) -> usize {
        CAPACITY - self.whole - self.open
    }

    const fn commit(&mut self) {
        self.whole += self.open;
        self.open = 0;
    }

    const fn count(&mut self, lines: u64, bytes: usize) {
        self.untold.lines += lines;
        self.untold.bytes += bytes as u64;
        self.lost.lines += lines;
        self.lost.bytes += bytes as u64;
    }

    /// Adds bytes for which there is room; those without room are left out, which never happens.
    fn put(&mut self, bytes: &[u8]) {
        for &byte in &bytes[..bytes.len().min(self.free())] {
            self.bytes[(self.start + self.whole + self.open) % CAPACITY] = byte;
            self.open += 1;
        }
    }
}

/// For the line about the loss.
impl Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets up to so many bytes leave.
    fn read(lines: &mut Lines, most: usize) -> String {
        let mut out = Vec::new();
        while out.len() < most
            && let Some(byte) = lines.next()
        {
            lines.took();
            out.push(byte);
        }
        String::from_utf8(out).unwrap()
    }

    /// Prints as the kernel does: in pieces.
    fn print(lines: &mut Lines, text: &str) {
        for line in text.as_bytes().split_inclusive(|&byte| byte == b'\n') {
            for piece in line.chunks(PIECE_MAX) {
                lines.push(piece);
            }
        }
    }

    /// Returns the sum of all loss lines, and the other lines.
    fn told(text: &str) -> (Lost, Vec<&str>) {
        let (mut lost, mut rest) = (Lost::default(), Vec::new());
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            if let ["console:", lines, "lines", "lost,", bytes, "bytes"] = words[..] {
                lost.lines += lines.parse::<u64>().unwrap();
                lost.bytes += bytes.parse::<u64>().unwrap();
            } else {
                rest.push(line);
            }
        }
        (lost, rest)
    }

    #[test]
    fn lines_leave_in_order_and_a_line_leaves_when_it_is_whole() {
        let mut lines = Lines::new();
        print(&mut lines, "one\ntw");
        assert_eq!(read(&mut lines, 100), "one\n");
        print(&mut lines, "o\n\nthree");
        assert_eq!(read(&mut lines, 100), "two\n\n");
        lines.finish();
        assert_eq!(read(&mut lines, 100), "three");
        assert_eq!(lines.lost(), Lost::default());
    }

    #[test]
    fn what_finds_no_room_is_dropped_in_whole_lines_and_told_in_its_place() {
        let mut lines = Lines::new();
        for n in 0..1000 {
            print(&mut lines, &format!("line {n:04} {}\n", "x".repeat(50)));
        }
        let kept = (CAPACITY - RESERVE) / 61;
        let mut text = read(&mut lines, usize::MAX);
        print(&mut lines, "again\n");
        text += &read(&mut lines, usize::MAX);
        let (lost, rest) = told(&text);
        assert_eq!((rest.len(), rest[rest.len() - 1]), (kept + 1, "again"));
        assert_eq!(
            (lost.lines, lost.bytes),
            (1000 - kept as u64, (1000 - kept as u64) * 61)
        );
        assert_eq!(lost, lines.lost());
        let at = text.lines().position(|line| line.starts_with("console: "));
        assert_eq!(at, Some(kept), "after the last line that had room");
    }

    #[test]
    fn last_words_that_wait_until_they_are_taken_are_kept() {
        let mut lines = Lines::new();
        print(&mut lines, &"a line\n".repeat(CAPACITY));
        let words = b"the last words\n";
        let mut text = String::new();
        while !lines.takes(words.len()) {
            text += &read(&mut lines, 1);
        }
        lines.push(words);
        text += &read(&mut lines, usize::MAX);
        assert_eq!(text.lines().last(), Some("the last words"));
    }

    #[test]
    fn a_loss_is_told_although_nothing_is_printed_afterwards() {
        let mut lines = Lines::new();
        print(&mut lines, &"a line\n".repeat(CAPACITY));
        let text = read(&mut lines, usize::MAX);
        assert!(text.ends_with(" bytes\n"), "{:?}", text.lines().last());
    }

    #[test]
    fn a_long_line_without_an_end_leaves_in_pieces() {
        let mut lines = Lines::new();
        let long = "y".repeat(3 * PIECE_MAX);
        print(&mut lines, &long);
        assert_eq!(read(&mut lines, usize::MAX), long);
        print(&mut lines, "end\nnext\n");
        assert_eq!(read(&mut lines, usize::MAX), "end\nnext\n");
        print(&mut lines, &"z".repeat(2 * CAPACITY));
        print(&mut lines, "\nnext\n");
        let text = read(&mut lines, usize::MAX);
        let (lost, rest) = told(&text);
        assert_eq!(
            lost.lines, 2,
            "the cut line, and the one that found no room after it"
        );
        assert_eq!(rest.len(), 1, "{rest:?}");
    }

    #[test]
    fn the_end_tells_a_loss_without_waiting_for_room() {
        let mut lines = Lines::new();
        print(&mut lines, &"a line\n".repeat(CAPACITY));
        print(&mut lines, "unfinished");
        lines.finish();
        let mut text = String::new();
        while lines.whole > 0 {
            text += &read(&mut lines, 1);
        }
        let (lost, rest) = told(&text);
        assert_eq!(lost.lines + rest.len() as u64, CAPACITY as u64 + 1);
        assert!(text.ends_with(" bytes\n"));
    }

    /// A model of printing and reading in random order: every line is shown once, in order and whole, or counted.
    #[test]
    fn every_line_is_shown_or_counted_and_no_line_is_torn() {
        let mut random: u64 = 1;
        let mut below = |limit: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) % limit
        };
        for _ in 0..200 {
            let mut lines = Lines::new();
            let (mut text, mut printed, mut bytes) = (String::new(), 0, 0);
            for _ in 0..below(400) {
                if below(3) == 0 {
                    text += &read(&mut lines, below(3000) as usize);
                    continue;
                }
                let line = format!("{printed} {}|\n", "x".repeat(below(900) as usize));
                let cut = below(line.len() as u64 + 1) as usize;
                print(&mut lines, &line[..cut]);
                if below(4) == 0 {
                    text += &read(&mut lines, below(300) as usize);
                }
                print(&mut lines, &line[cut..]);
                (printed, bytes) = (printed + 1, bytes + line.len() as u64);
            }
            text += &read(&mut lines, usize::MAX);
            lines.finish();
            text += &read(&mut lines, usize::MAX);
            let (lost, rest) = told(&text);
            assert_eq!(lost, lines.lost());
            assert_eq!(lost.lines + rest.len() as u64, printed);
            let shown: u64 = rest.iter().map(|line| line.len() as u64 + 1).sum();
            assert_eq!(lost.bytes + shown, bytes);
            let mut last = None;
            for line in rest {
                let number: u64 = line.split(' ').next().unwrap().parse().unwrap();
                assert!(line.ends_with('|') && last < Some(number), "{line}");
                last = Some(number);
            }
        }
    }
}
