//! A heap trace that was added up, as a tree of frames.

use super::{Profile, Tree};
use crate::convert::Value;
use crate::convert::frames::Sheet;

/// The bytes of one value, without the frames of the allocator's hook. What the guest lost stands under a frame named for it.
pub(crate) fn of(name: String, sheet: &Sheet<'_>, value: Value) -> Profile {
    let mut tree = Tree::new(name, "bytes".to_owned());
    let scale = sheet.named.profile.scale();
    for (stack, tally) in sheet.stacks() {
        let hits = value.hits(tally);
        if hits > 0 {
            let frames = sheet.outermost_first(*stack);
            let bytes = scale.bytes(hits).bytes;
            tree.add(frames.into_iter().map(Sheet::label), bytes);
        }
    }
    tree.profile
}
