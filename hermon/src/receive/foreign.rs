//! Recognises data of another protocol by its first bytes, so that it is one fault and not as many as it has lines.

/// The protocol of data that is not line protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// A request or an answer of HTTP, or of a protocol with the same first line (SIP, RTSP, SSDP).
    Http,
    /// The hello of TLS or DTLS.
    Tls,
    /// Other data that begins with a control character. A measurement does not.
    Binary,
}

impl Foreign {
    /// Returns the name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "an HTTP message",
            Self::Tls => "a TLS hello",
            Self::Binary => "binary data",
        }
    }
}

/// Recognises data by its first bytes, before the first line is whole.
pub(super) fn by_beginning(bytes: &[u8]) -> Option<Foreign> {
    match bytes {
        // RFC 8446, 5.1: a handshake record, version 3.x; RFC 9147, 5.1: 254.x.
        [0x16, 0x03 | 0xfe, ..] => Some(Foreign::Tls),
        // The second byte decides.
        [0x16] => None,
        [first, ..] if first.is_ascii_control() && !b"\t\r\n".contains(first) => {
            Some(Foreign::Binary)
        }
        _ => None,
    }
}

/// Recognises data by its first line, without the line's end.
///
/// The third word of a request is `NAME/N.N`. In line protocol it would be a timestamp, so no point is mistaken.
pub(super) fn by_first_line(line: &[u8]) -> Option<Foreign> {
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = text.split(|&byte| byte == b' ');
    let (first, last) = (words.next()?, words.next_back().unwrap_or_default());
    if is_version(last) || (is_version(first) && !last.contains(&b'=')) {
        return Some(Foreign::Http);
    }
    by_beginning(line)
}

/// Returns `true` for `HTTP/1.1` and the like.
fn is_version(word: &[u8]) -> bool {
    let Some(slash) = word.iter().position(|&byte| byte == b'/') else {
        return false;
    };
    let (name, number) = (&word[..slash], &word[slash + 1..]);
    !name.is_empty()
        && name.iter().all(u8::is_ascii_uppercase)
        && matches!(number, [major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_hellos_and_binary_data_are_recognised() {
        for line in [
            &b"GET / HTTP/1.1\r"[..],
            b"POST /write?db=a=b HTTP/1.0",
            b"HTTP/1.1 200 OK",
            b"PRI * HTTP/2.0",
            b"M-SEARCH * HTTP/1.1",
            b"OPTIONS sip:a SIP/2.0",
        ] {
            assert_eq!(by_first_line(line), Some(Foreign::Http), "{line:?}");
        }
        assert_eq!(by_beginning(&[0x16, 3, 1, 2]), Some(Foreign::Tls));
        assert_eq!(by_first_line(&[0x16, 0xfe, 0xfd]), Some(Foreign::Tls));
        assert_eq!(by_beginning(&[0x16]), None);
        assert_eq!(by_beginning(b"\0\x01"), Some(Foreign::Binary));
    }

    #[test]
    fn points_and_lines_with_a_fault_are_not_mistaken() {
        for line in [
            &b"m v=1"[..],
            b"m,vm=HTTP/1.1 v=1i 17",
            b"m v=",
            b"",
            b"\r",
            b"# GET",
            b"m v=\"GET / HTTP/1.1\" 5",
            b"HTTP/1.1 v=1",
        ] {
            assert_eq!(by_first_line(line), None, "{line:?}");
            assert_eq!(by_beginning(line), None, "{line:?}");
        }
    }
}
