//! Names and paths: sorted, in groups, each told by what it shares with the one before and by pieces of a dictionary.

/// Bytes of the longest name or path; the writer cuts longer ones.
pub const TEXT_MAX: usize = 255;
/// Texts of a group: a text costs half a group to read, and a group 3 bytes.
pub(super) const GROUP: usize = 16;
/// Pieces of the largest dictionary: as many as there are bytes that stand for no character of ASCII.
pub(super) const PIECES_MAX: usize = FEW + 128;
/// Of the bytes below 0x20 all but the first stand for a piece.
const FEW: usize = 0x1f;

/// A text as it is put together.
pub(super) struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Text {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; TEXT_MAX],
            len: 0,
        }
    }

    fn push(&mut self, piece: &[u8]) -> Option<()> {
        let end = self.len + piece.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(piece);
        self.len = end;
        Some(())
    }
}

/// The pieces that texts are made of.
pub(super) struct Dictionary<'a> {
    /// Where each piece ends, as u16.
    ends: &'a [[u8; 2]],
    pieces: &'a [u8],
}

impl<'a> Dictionary<'a> {
    pub(super) fn new(ends: &'a [[u8; 2]], pieces: &'a [u8]) -> Self {
        Self { ends, pieces }
    }

    fn piece(&self, number: usize) -> Option<&'a [u8]> {
        let end = |at: usize| Some(usize::from(u16::from_le_bytes(*self.ends.get(at)?)));
        let start = number.checked_sub(1).map_or(Some(0), end)?;
        self.pieces.get(start..end(number)?)
    }
}

/// Texts by their numbers.
pub(super) struct Texts<'a> {
    /// Where each group starts in `groups`, as u24.
    starts: &'a [[u8; 3]],
    groups: &'a [u8],
    count: u32,
}

impl<'a> Texts<'a> {
    pub(super) fn new(starts: &'a [[u8; 3]], groups: &'a [u8], count: u32) -> Self {
        Self {
            starts,
            groups,
            count,
        }
    }

    /// Text `number`; `None` if there is none, or if it is not what a writer writes.
    pub(super) fn get<'t>(
        &self,
        number: u32,
        dictionary: &Dictionary<'_>,
        text: &'t mut Text,
    ) -> Option<&'t str> {
        if number >= self.count {
            return None;
        }
        let number = number as usize;
        let [low, middle, high] = *self.starts.get(number / GROUP)?;
        let start = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let mut rest = self.groups.get(start..)?;
        // What the texts of the group up to this one share with the one before, and what they add.
        let mut entries = [(0, &[][..]); GROUP];
        let entries = &mut entries[..=number % GROUP];
        for entry in &mut *entries {
            let [shared, length, after @ ..] = rest else {
                return None;
            };
            let (codes, after) = after.split_at_checked(usize::from(*length))?;
            *entry = (usize::from(*shared), codes);
            rest = after;
        }
        // Of what comes before the last text only what that shares is of use, and of the rest nothing is looked at: those that add
        // something, the last one first, with how many bytes the text then has.
        let mut adding = [(0, 0, &[][..]); GROUP];
        let (mut count, mut used) = (0, TEXT_MAX);
        for &(shared, codes) in entries.iter().rev() {
            if shared < used {
                adding[count] = (shared, used, codes);
                count += 1;
                used = shared;
            }
            if used == 0 {
                break;
            }
        }
        text.len = 0;
        for &(shared, used, codes) in adding[..count].iter().rev() {
            // No more than there is.
            if shared > text.len {
                return None;
            }
            text.len = shared;
            expand(codes, used, dictionary, text)?;
        }
        str::from_utf8(text.bytes.get(..text.len)?).ok()
    }
}

/// Adds pieces up to the end or until the text has `used` bytes.
fn expand(codes: &[u8], used: usize, dictionary: &Dictionary<'_>, text: &mut Text) -> Option<()> {
    let mut codes = codes.iter();
    while text.len < used
        && let Some(&code) = codes.next()
    {
        match code {
            0 => text.push(&[*codes.next()?])?,
            0x01..=0x1f => text.push(dictionary.piece(usize::from(code) - 1)?)?,
            0x20..=0x7f => text.push(&[code])?,
            0x80.. => text.push(dictionary.piece(usize::from(code) - 0x80 + FEW)?)?,
        }
    }
    Some(())
}
