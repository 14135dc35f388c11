//! Requests to the page, written by hand.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;

use super::DEADLINE;

/// The headers that a request for a change must have.
pub const OURS: &str = "X-Hermon: 1\nContent-Type: application/json";

fn connect(page: &str) -> (TcpStream, &str) {
    let address = page.strip_prefix("http://").unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    (stream, address)
}

/// Sends a request in plain HTTP and returns the whole answer.
pub fn ask(page: &str, request: &str) -> String {
    let (mut stream, address) = connect(page);
    let request = request.replace("HOST", address);
    stream
        .write_all(request.replace('\n', "\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub fn get(page: &str, path: &str) -> String {
    ask(
        page,
        &format!("GET {path} HTTP/1.1\nHost: HOST\nConnection: close\n\n"),
    )
}

pub fn post(page: &str, path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    ask(
        page,
        &format!(
            "POST {path} HTTP/1.1\nHost: HOST\nConnection: close\nContent-Length: {length}\n{headers}\n\n{body}"
        ),
    )
}

/// Returns the JSON of an answer.
pub fn json(answer: &str) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

/// Returns the first status among the page's events that satisfies a condition.
pub fn status(page: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    let (mut stream, host) = connect(page);
    write!(stream, "GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let (mut seen, until) = (Vec::new(), Instant::now() + DEADLINE);
    for line in BufReader::new(stream).lines().map(Result::unwrap) {
        let Some(data) = line.strip_prefix("data: ") else {
            continue;
        };
        let status: Value = serde_json::from_str(data).unwrap();
        if status["heap"].is_null() {
            continue;
        }
        if so(&status) {
            return status;
        }
        seen.push(status["heap"].to_string());
        assert!(Instant::now() < until, "waited for {what}: {seen:#?}");
    }
    panic!("the events ended, waited for {what}: {seen:#?}");
}
