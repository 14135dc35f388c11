//! The requests that `mixed` serves: text as a client would send it, and its parser.
//!
//! ```text
//! PUT /record/417?colour=blue&limit=12
//! host: store.example
//! length: 5
//!                          an empty line ends the head
//! bbbbb                    `length` bytes of body, only with PUT
//! ```

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use super::size;
use crate::random::Random;

/// The number of records that clients ask for: more than the cache holds, so that it evicts.
pub const RECORDS: u32 = 2000;
/// One request in this many is cut off, as in a real service.
const MALFORMED_ONE_IN: u32 = 64;
/// The most query parameters of a request.
const PARAMETERS_MAX: usize = 6;

const COLOURS: [&str; 6] = [
    "red",
    "blue",
    "green",
    "black",
    "orange",
    "a colour with a long name",
];
const HOSTS: [&str; 3] = ["store.example", "eu.store.example", "archive.store.example"];

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Returns the record at the path.
    Get,
    /// Makes the body the record at the path.
    Put,
    /// Returns the paths of records from the given one on.
    List,
}

impl Verb {
    /// Returns the verb as it is written in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::List => "LIST",
        }
    }
}

/// A parsed request. It owns its parts, like that of a service that passes requests on.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The kind of the request.
    pub verb: Verb,
    /// The path, which begins with `/`, without the query.
    pub path: String,
    /// The parameters after `?`; the last of two equal names counts.
    pub query: BTreeMap<String, String>,
    /// The lines of the head; the last of two equal names counts.
    pub head: BTreeMap<String, String>,
    /// Empty unless the verb is `Put`.
    pub body: String,
}

/// The reason why a text is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError<'a> {
    /// The text ends before the empty line.
    HeadCut,
    /// The first line does not have the form `VERB /PATH`.
    FirstLine(&'a str),
    /// The first word of the text is not `GET`, `PUT` or `LIST`.
    Verb(&'a str),
    /// A line of the head does not have the form `NAME: VALUE`.
    HeadLine(&'a str),
    /// The `length` is not the number of bytes that follow the empty line.
    Length(&'a str),
}

/// Returns the text of the next request, at most 64 KiB.
#[inline(never)]
pub fn receive(random: &mut Random) -> String {
    let verb = match random.below(16) {
        0 => "LIST",
        1..5 => "PUT",
        _ => "GET",
    };
    let mut text = String::with_capacity(128);
    write_head(&mut text, verb, random);
    if verb == "PUT" {
        let body = draw_body(random);
        text += &format!("length: {}\n\n", body.len());
        text += &body;
    } else {
        text += "\n";
    }
    if random.one_in(MALFORMED_ONE_IN) {
        text.truncate(text.len() / 2);
    }
    text
}

/// Writes the head. The formatted parts are separate strings for a moment, as in most services: short-lived blocks for a profiler
/// to find.
#[inline(never)]
fn write_head(text: &mut String, verb: &str, random: &mut Random) {
    // The product of two draws makes low numbers more popular; otherwise the cache would be useless.
    let record =
        u64::from(random.below(RECORDS)) * u64::from(random.below(RECORDS)) / u64::from(RECORDS);
    let colour = COLOURS[random.below(COLOURS.len() as u32) as usize];
    let host = HOSTS[random.below(HOSTS.len() as u32) as usize];
    *text += verb;
    *text += &format!(" /record/{record}");
    for n in 0..random.within(0..=PARAMETERS_MAX) {
        *text += &format!("{}p{n}={colour}", if n == 0 { '?' } else { '&' });
    }
    *text += &format!("\nhost: {host}\n");
}

/// Returns one letter repeated. The body is meant to cost memory but little time.
#[inline(never)]
fn draw_body(random: &mut Random) -> String {
    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
    let letter = random.below(LETTERS.len() as u32) as usize;
    LETTERS[letter..=letter].repeat(size::draw(random))
}

impl Request {
    /// Reads a whole request.
    ///
    /// # Errors
    /// Returns the first mistake, with the text at fault.
    ///
    /// ```
    /// use app::workload::request::{Request, Verb};
    /// let request = Request::parse("GET /record/7?p0=blue\nhost: store.example\n\n").unwrap();
    /// assert_eq!(request.verb, Verb::Get);
    /// assert_eq!(request.path, "/record/7");
    /// assert_eq!(request.query["p0"], "blue");
    /// ```
    #[inline(never)]
    pub fn parse(text: &str) -> Result<Self, RequestError<'_>> {
        let (head, body) = text.split_once("\n\n").ok_or(RequestError::HeadCut)?;
        let (first, lines) = head.split_once('\n').unwrap_or((head, ""));
        let (verb, path, query) = parse_first_line(first)?;
        let head = parse_head(lines)?;
        check_length(lines, body)?;
        Ok(Self {
            verb,
            path: path.to_owned(),
            query: parse_query(query),
            head,
            body: body.to_owned(),
        })
    }
}

/// Checks the length. It is read from the borrowed lines, because the error borrows its text.
fn check_length<'a>(lines: &'a str, body: &str) -> Result<(), RequestError<'a>> {
    let length = lines
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("length: "));
    match length {
        Some(length) if length.parse() != Ok(body.len()) => Err(RequestError::Length(length)),
        None if !body.is_empty() => Err(RequestError::Length("")),
        _ => Ok(()),
    }
}

fn parse_first_line(line: &str) -> Result<(Verb, &str, &str), RequestError<'_>> {
    let (verb, target) = line.split_once(' ').ok_or(RequestError::FirstLine(line))?;
    let verb = match verb {
        "GET" => Verb::Get,
        "PUT" => Verb::Put,
        "LIST" => Verb::List,
        _ => return Err(RequestError::Verb(verb)),
    };
    if !target.starts_with('/') {
        return Err(RequestError::FirstLine(line));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Ok((verb, path, query))
}

#[inline(never)]
fn parse_query(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[inline(never)]
fn parse_head(lines: &str) -> Result<BTreeMap<String, String>, RequestError<'_>> {
    let pair = |line| {
        let (name, value) = str::split_once(line, ": ").ok_or(RequestError::HeadLine(line))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    lines.lines().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_request_is_read_with_all_its_parts() {
        let text = "PUT /record/4?p0=red&p1=a colour&p0=blue\nhost: h\nlength: 3\n\na\nb";
        let request = Request::parse(text).unwrap();
        assert_eq!(
            (request.verb, request.path.as_str(), request.body.as_str()),
            (Verb::Put, "/record/4", "a\nb")
        );
        assert_eq!(request.query["p0"], "blue", "the last of two counts");
        assert_eq!(request.query["p1"], "a colour");
        assert_eq!(request.head["host"], "h");
    }

    #[test]
    fn each_fault_is_named_with_its_text() {
        assert_eq!(Request::parse(""), Err(RequestError::HeadCut));
        assert_eq!(
            Request::parse("GET /x\nhost: a\n"),
            Err(RequestError::HeadCut)
        );
        assert_eq!(
            Request::parse("GET\n\n"),
            Err(RequestError::FirstLine("GET"))
        );
        assert_eq!(
            Request::parse("GET x\n\n"),
            Err(RequestError::FirstLine("GET x"))
        );
        assert_eq!(
            Request::parse("POST /x\n\n"),
            Err(RequestError::Verb("POST"))
        );
        assert_eq!(
            Request::parse("GET /x\nhost\n\n"),
            Err(RequestError::HeadLine("host"))
        );
        assert_eq!(
            Request::parse("PUT /x\nlength: 2\n\nabc"),
            Err(RequestError::Length("2"))
        );
        assert_eq!(
            Request::parse("PUT /x\nlength: -1\n\nabc"),
            Err(RequestError::Length("-1"))
        );
        assert_eq!(
            Request::parse("GET /x\n\nabc"),
            Err(RequestError::Length(""))
        );
    }

    #[test]
    fn a_service_meets_every_verb_and_now_and_then_a_cut_request() {
        let mut random = Random::new(1);
        let (mut gets, mut puts, mut lists, mut cut) = (0, 0, 0, 0);
        for _ in 0..6400 {
            let text = receive(&mut random);
            assert!(text.len() <= 64 * 1024);
            match Request::parse(&text).map(|request| request.verb) {
                Ok(Verb::Get) => gets += 1,
                Ok(Verb::Put) => puts += 1,
                Ok(Verb::List) => lists += 1,
                Err(_) => cut += 1,
            }
        }
        // Expected are 4331, 1575, 394 and 100; the bounds are five standard deviations of a binomial each.
        assert!((4145..4520).contains(&gets), "{gets}");
        assert!((1405..1750).contains(&puts), "{puts}");
        assert!((295..493).contains(&lists), "{lists}");
        assert!((50..150).contains(&cut), "{cut}");
    }
}
