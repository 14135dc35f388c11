//! Finds the ends of calls in x86-64 code.
//!
//! It looks for the bytes of a call at every offset, without decoding the code before. So it finds every call. Other bytes that look
//! like a call cost a few bytes of the table and do no harm, because a row is true for its address anyway. The forms are those of
//! the instruction CALL in Intel's manual, volume 2: near calls, relative (E8) and indirect (FF /2).

/// Returns the addresses of the last bytes of possible calls, in order. `code` is at `address`; `is_code` tells whether an address
/// has code.
pub fn ends(code: &[u8], address: u64, is_code: impl Fn(u64) -> bool) -> Vec<u64> {
    let mut ends: Vec<u64> = (0..code.len())
        .filter_map(|at| {
            let address = address.wrapping_add(at as u64);
            let length = call(&code[at..], address, &is_code)?;
            Some(address.wrapping_add(length - 1))
        })
        .collect();
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// Returns the number of bytes of the call at the beginning of `code`, without prefixes.
fn call(code: &[u8], address: u64, is_code: &impl Fn(u64) -> bool) -> Option<u64> {
    const RELATIVE: u64 = 5;
    match *code {
        [0xe8, a, b, c, d, ..] => {
            let distance = i64::from(i32::from_le_bytes([a, b, c, d]));
            let target = address.wrapping_add(RELATIVE).wrapping_add_signed(distance);
            is_code(target).then_some(RELATIVE)
        }
        [0xff, form, ref rest @ ..] if form >> 3 & 7 == 2 => {
            // ModRM: the upper two bits say how, the lower three which register; 4 in these means that SIB follows.
            let (mode, register) = (form >> 6, form & 7);
            let sib = (mode != 3 && register == 4)
                .then(|| rest.first())
                .map(|sib| sib.copied().unwrap_or(0));
            let no_base = match sib {
                Some(sib) => sib & 7 == 5,
                None => register == 5,
            };
            let displacement = match mode {
                0 if no_base => 4,
                0 | 3 => 0,
                1 => 1,
                _ => 4,
            };
            let length = 2 + usize::from(sib.is_some()) + displacement;
            (length <= code.len()).then_some(length as u64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_0x1000(code: &[u8]) -> Vec<u64> {
        ends(code, 0x1000, |target| target < 0x2000)
    }

    #[test]
    fn every_form_of_a_call_ends_where_the_next_instruction_begins() {
        for (code, what) in [
            (&[0xe8, 0, 0, 0, 0][..], "call next"),
            (&[0xff, 0xd0], "call rax"),
            (&[0xff, 0x10], "call [rax]"),
            (&[0xff, 0x14, 0x24], "call [rsp]"),
            (&[0xff, 0x50, 8], "call [rax + 8]"),
            (&[0xff, 0x54, 0x24, 8], "call [rsp + 8]"),
            (&[0xff, 0x90, 0, 1, 0, 0], "call [rax + 256]"),
            (&[0xff, 0x94, 0x24, 0, 1, 0, 0], "call [rsp + 256]"),
            (&[0xff, 0x15, 0, 0, 0, 0], "call [rip + 0]"),
            (&[0xff, 0x14, 0x25, 0, 0, 0, 0], "call [0]"),
            (&[0xff, 0x14, 0xc5, 0, 0, 0, 0], "call [rax * 8]"),
        ] {
            let padded = [code, &[0x90; 8]].concat();
            assert_eq!(
                at_0x1000(&padded),
                [0x1000 + code.len() as u64 - 1],
                "{what}"
            );
            assert_eq!(
                at_0x1000(code),
                [0x1000 + code.len() as u64 - 1],
                "{what} at the end"
            );
            assert!(
                at_0x1000(&code[..code.len() - 1]).is_empty(),
                "{what} cut off"
            );
        }
        // A prefix is in front: call r8.
        assert_eq!(at_0x1000(&[0x41, 0xff, 0xd0]), [0x1002]);
    }

    #[test]
    fn what_calls_nothing_is_no_call() {
        // Jumps to a register, a push, and a relative call that leads out of the code.
        for code in [
            &[0xff, 0xe0][..],
            &[0xff, 0x30],
            &[0xe9, 0, 0, 0, 0],
            &[0xe8, 0, 0, 0, 0x7f],
        ] {
            assert!(at_0x1000(code).is_empty(), "{code:x?}");
        }
    }
}
