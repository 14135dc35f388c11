//! The receiving side of metrics: real sockets on loopback, lines judged by a parser that is not ours.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use hermon_machine::qemu::HOST_SEEN_BY_GUEST;
use influxdb_line_protocol::{FieldValue, parse_lines};

use crate::DEADLINE;

/// The most that a datagram may carry: what fits an Ethernet frame with room for tunnels on the way.
const DATAGRAM_MAX: usize = 1432;

/// One point, as any server would store it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The source.
    pub measurement: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
    /// Nanoseconds since 1970, always given.
    pub timestamp: i64,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `1i`.
    Integer(i64),
    /// `1.5`.
    Float(f64),
    /// `"text"`.
    Text(String),
    /// `true`.
    Boolean(bool),
}

impl Point {
    /// An integer field.
    ///
    /// # Panics
    /// If there is none of this name.
    pub fn integer(&self, field: &str) -> i64 {
        match self.fields.get(field) {
            Some(Value::Integer(value)) => *value,
            other => panic!("field {field} of {self:?} is {other:?}"),
        }
    }
}

/// Parses lines that must all be points.
///
/// # Panics
/// At a line that is none, and at one with a tag or field twice, an unsigned integer or no timestamp.
pub fn points(text: &str) -> Vec<Point> {
    parse_lines(text)
        .map(|line| {
            let line = line.unwrap_or_else(|error| panic!("{error} in {text:?}"));
            let mut tags = BTreeMap::new();
            for (key, value) in line.series.tag_set.iter().flatten() {
                let earlier = tags.insert(key.to_string(), value.to_string());
                assert_eq!(earlier, None, "tag {key} twice in {text:?}");
            }
            let mut fields = BTreeMap::new();
            for (key, value) in &line.field_set {
                let value = match value {
                    FieldValue::I64(value) => Value::Integer(*value),
                    FieldValue::F64(value) => Value::Float(*value),
                    FieldValue::String(value) => Value::Text(value.to_string()),
                    FieldValue::Boolean(value) => Value::Boolean(*value),
                    FieldValue::U64(_) => {
                        panic!("InfluxDB 1 rejects the unsigned {key} in {text:?}")
                    }
                };
                let earlier = fields.insert(key.to_string(), value);
                assert_eq!(earlier, None, "field {key} twice in {text:?}");
            }
            Point {
                measurement: line.series.measurement.to_string(),
                tags,
                fields,
                timestamp: line
                    .timestamp
                    .unwrap_or_else(|| panic!("no timestamp in {text:?}")),
            }
        })
        .collect()
}

/// What a guest's metrics arrive by.
pub trait Receive {
    /// The next points: those of a datagram, or of a line.
    ///
    /// # Panics
    /// If none come before the deadline, or what comes is not whole lines.
    fn receive(&mut self) -> Vec<Point>;

    /// Points until one satisfies `wanted`: that one.
    ///
    /// # Panics
    /// As [`Receive::receive`].
    fn until(&mut self, mut wanted: impl FnMut(&Point) -> bool) -> Point
    where
        Self: Sized,
    {
        let deadline = Instant::now() + DEADLINE;
        loop {
            assert!(Instant::now() < deadline, "no such point came");
            if let Some(point) = self.receive().into_iter().find(&mut wanted) {
                return point;
            }
        }
    }
}

/// A receiver of datagrams.
#[derive(Debug)]
pub struct Udp(UdpSocket);

impl Udp {
    /// On any free port.
    ///
    /// # Panics
    /// If there is none.
    pub fn open() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_read_timeout(Some(DEADLINE)).expect("not zero");
        Self(socket)
    }

    /// The `--influx` argument that makes a guest send here.
    pub fn target(&self) -> String {
        let port = self.0.local_addr().expect("bound").port();
        format!("--influx=udp://{HOST_SEEN_BY_GUEST}:{port}")
    }
}

impl Receive for Udp {
    fn receive(&mut self) -> Vec<Point> {
        let mut buffer = [0; 1 << 16];
        let length = self
            .0
            .recv(&mut buffer)
            .expect("a datagram before the deadline");
        whole_lines(&buffer[..length])
    }
}

/// The points of a datagram.
fn whole_lines(datagram: &[u8]) -> Vec<Point> {
    let length = datagram.len();
    assert!(length <= DATAGRAM_MAX, "a datagram of {length} bytes");
    let text = core::str::from_utf8(datagram).expect("UTF-8");
    assert!(
        text.ends_with('\n'),
        "a datagram that ends within a line: {text:?}"
    );
    points(text)
}

/// Datagrams that a thread takes from the socket as they come: hundreds at once fill a socket's buffer before they are
/// parsed.
#[derive(Debug)]
pub struct Drained(std::sync::mpsc::Receiver<Vec<u8>>);

impl Udp {
    /// Receives in a thread of its own, until nothing comes any more.
    #[must_use]
    pub fn drained(self) -> Drained {
        let (to, from) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(length) = self.0.recv(&mut buffer) {
                if to.send(buffer[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        Drained(from)
    }
}

impl Receive for Drained {
    fn receive(&mut self) -> Vec<Point> {
        let datagram = self
            .0
            .recv_timeout(DEADLINE)
            .expect("a datagram before the deadline");
        whole_lines(&datagram)
    }
}

/// A receiver of connections.
#[derive(Debug)]
pub struct Tcp {
    listener: TcpListener,
    port: u16,
}

impl Tcp {
    /// On any free port.
    ///
    /// # Panics
    /// If there is none.
    pub fn open() -> Self {
        Self::open_at(0)
    }

    /// On this port: again, say.
    ///
    /// # Panics
    /// If it cannot be had.
    pub fn open_at(port: u16) -> Self {
        // The standard library sets SO_REUSEADDR, so a port can be had again at once.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port");
        let port = listener.local_addr().expect("bound").port();
        Self { listener, port }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `--influx` argument that makes a guest send here.
    pub fn target(&self) -> String {
        format!("--influx=tcp://{HOST_SEEN_BY_GUEST}:{}", self.port)
    }

    /// Waits for a connection.
    ///
    /// # Panics
    /// If none comes before the deadline.
    pub fn accept(&self) -> Connection {
        // A listener has no timeout of its own.
        let listener = self.listener.try_clone().expect("a socket");
        let (to, from) = channel();
        thread::spawn(move || drop(to.send(listener.accept())));
        let (stream, _) = from
            .recv_timeout(DEADLINE)
            .expect("a connection before the deadline")
            .expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        Connection(BufReader::new(stream))
    }
}

/// A guest's connection.
#[derive(Debug)]
pub struct Connection(BufReader<TcpStream>);

impl Receive for Connection {
    fn receive(&mut self) -> Vec<Point> {
        let mut line = String::new();
        self.0
            .read_line(&mut line)
            .expect("a line before the deadline");
        assert!(line.ends_with('\n'), "the connection ended within {line:?}");
        points(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_its_parts() {
        let points = points("m\\ x,vm=a\\,b i=-1i,f=0.5,t=\"a \\\"b\\\"\",b=true 7\n");
        let expected = Point {
            measurement: "m x".into(),
            tags: [("vm".into(), "a,b".into())].into(),
            fields: [
                ("i".into(), Value::Integer(-1)),
                ("f".into(), Value::Float(0.5)),
                ("t".into(), Value::Text("a \"b\"".into())),
                ("b".into(), Value::Boolean(true)),
            ]
            .into(),
            timestamp: 7,
        };
        assert_eq!(points, [expected]);
    }

    #[test]
    #[should_panic(expected = "no timestamp")]
    fn a_line_without_a_timestamp_fails_the_test() {
        points("m v=1i");
    }

    #[test]
    #[should_panic(expected = "rejects the unsigned")]
    fn an_unsigned_integer_fails_the_test() {
        points("m v=1u 1");
    }
}
