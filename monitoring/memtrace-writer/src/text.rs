//! Text in the stream: bytes that end in a NUL.

use super::packet::Packet;

/// Stands for a NUL, which would end the text: U+2400, its picture.
const PICTURE_OF_NUL: &str = "␀";
/// Stands at the end of a text that was cut.
const ELLIPSIS: &str = "…";

/// Writes `text` and its end, at most `most` bytes and one. Whether something else than `text` was written.
pub(super) fn text_into(text: &str, most: usize, packet: &mut Packet) -> bool {
    if text.len() <= most && !text.as_bytes().contains(&0) {
        packet.bytes(text.as_bytes());
        packet.bytes(&[0]);
        return false;
    }
    let nuls = text.bytes().filter(|byte| *byte == 0).count();
    let too_long = text.len() + nuls * (PICTURE_OF_NUL.len() - 1) > most;
    let mut room = if too_long {
        most - ELLIPSIS.len()
    } else {
        most
    };
    for part in text.split_inclusive('\0') {
        let (plain, nul) = part
            .strip_suffix('\0')
            .map_or((part, ""), |plain| (plain, PICTURE_OF_NUL));
        for piece in [plain, nul] {
            let fits = piece.floor_char_boundary(room);
            packet.bytes(&piece.as_bytes()[..fits]);
            // What comes after a piece that was cut is not written either.
            room = if fits == piece.len() { room - fits } else { 0 };
        }
    }
    if too_long {
        packet.bytes(ELLIPSIS.as_bytes());
    }
    packet.bytes(&[0]);
    true
}
