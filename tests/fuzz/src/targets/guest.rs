//! What an image reads.

use agent::config::parse_token;

use crate::attack::chosen;
use crate::fixture::{Client, Image};
use crate::oracle::Oracle;
use crate::stream::FakeStream;

/// An attack on the stack, in any state.
pub fn stack(bytes: &[u8]) {
    chosen(bytes);
}

/// A conversation, with a token and without, in pieces.
pub fn control(bytes: &[u8]) {
    const TOKEN: &str = "sesame";
    for token in [None, Some(TOKEN)] {
        let expected = Oracle::new(token).converse(bytes);
        let token = token.map(|token| parse_token(token).expect("a token"));
        let pieces = bytes.chunks(bytes.len() % 13 + 1);
        let mut stream = FakeStream::default();
        let replies = Client::with_token(token).converse(&Image::new(), pieces, &mut stream);
        assert_eq!(replies, expected);
    }
}

/// Arguments, one a line.
pub fn arguments(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else {
        return;
    };
    if let Err(error) = app::args::parse(text.lines()) {
        let message = error.to_string();
        assert!(
            !message.is_empty() && !message.contains(char::is_control),
            "{message:?}"
        );
    }
}
