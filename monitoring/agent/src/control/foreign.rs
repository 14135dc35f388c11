//! Other protocols at the control port: HTTP and TLS.

/// The answer to a request (RFC 9112, section 4). The text is for a person who opened the port in a browser.
pub(super) const HTTP: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n\
    error: this is the control port of a Hermit image, which speaks lines of text and no HTTP: see hermon ctl";

/// The answer to a TLS handshake.
pub(super) const TLS: &str = "error: this port speaks lines of text and no TLS";

/// The longest name of a method. Those that are registered have up to 16 letters (IANA, HTTP Method Registry).
const METHOD_MAX: usize = 16;

/// Returns `true` if the line is the first one of a request, or begins like one: a method, a blank, and a path, an address
/// or an asterisk; or if it ends with the protocol's version.
pub(super) fn is_http(line: &[u8]) -> bool {
    let mut words = line.split(|&byte| byte == b' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return false;
    };
    let is_method = (1..=METHOD_MAX).contains(&method.len())
        && method
            .iter()
            .all(|byte| byte.is_ascii_alphabetic() || *byte == b'-');
    let is_target = target.starts_with(b"/")
        || target == b"*"
        || target.starts_with(b"http:")
        || target.starts_with(b"https:");
    let has_version = words
        .next_back()
        .is_some_and(|last| last.starts_with(b"HTTP/"));
    is_method && (is_target || has_version)
}

/// Returns `true` if a connection that begins with these bytes is a TLS handshake (RFC 8446, section 5.1): a record of
/// the type 22 with a version 3.x.
pub(super) const fn is_tls(bytes: [u8; 2]) -> bool {
    matches!(bytes, [0x16, 0x03])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_by_their_first_line_whole_or_cut() {
        for line in [
            "GET / HTTP/1.1",
            "POST /M*:off HTTP/1.0",
            "OPTIONS * HTTP/1.1",
            "PRI * HTTP/2.0",
            "CONNECT example.org:443 HTTP/1.1",
            "GET http://127.0.0.1:2323/ HTTP/1.1",
            "get /",
            "MKWORKSPACE /x y z HTTP/1.1",
            &format!("GET /{}", "x".repeat(1_000)),
        ] {
            assert!(is_http(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn commands_are_no_requests() {
        for line in [
            "",
            "s",
            "S",
            "l*",
            "Lapp:debug",
            "M*:off",
            "L a:b",
            "auth secret",
            "auth a b c",
            "m /",
            "T1e-3",
            "Mapp x:on",
            "L*: debug",
        ] {
            // `m /` is an error as a command, and as a request.
            assert_eq!(is_http(line.as_bytes()), line == "m /", "{line}");
        }
    }
}
