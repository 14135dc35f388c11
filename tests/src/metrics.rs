//! Receives metrics on real sockets on loopback, and parses the lines with a parser from another project.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hermon_machine::qemu::HOST_SEEN_BY_GUEST;
use influxdb_line_protocol::{FieldValue, parse_lines};
use socket2::SockRef;

use crate::DEADLINE;
use crate::boot::Running;

/// The largest datagram: it fits an Ethernet frame, with room for tunnels on the way.
const DATAGRAM_MAX: usize = 1432;

/// The room that a receiver of datagrams asks for. The system may give less.
const BUFFER_BYTES: usize = 1 << 20;

/// One point, as any server would store it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The source.
    pub measurement: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its fields.
    pub fields: BTreeMap<String, Value>,
    /// The time in nanoseconds since 1970; it must be given.
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
    /// Returns an integer field.
    ///
    /// # Panics
    /// Panics if there is no integer field of this name.
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
/// Panics at a line that is not a point, and at one with a tag or field twice, an unsigned integer or no timestamp.
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

/// A receiver of a guest's metrics.
pub trait Receive {
    /// Returns the next points: those of a datagram, or of a line.
    ///
    /// # Panics
    /// Panics if no points come before the deadline, or if the data does not consist of whole lines.
    fn receive(&mut self) -> Vec<Point>;

    /// Receives points until one satisfies `wanted`, and returns that one.
    ///
    /// # Panics
    /// Panics like [`Receive::receive`], and if no such point comes before the deadline.
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

    /// Receives points until `found` returns something for all of them together, and returns that.
    ///
    /// # Panics
    /// Panics like [`Receive::receive`], and if nothing is found before the deadline.
    fn gather<T>(&mut self, mut found: impl FnMut(&[Point]) -> Option<T>) -> T {
        let (mut points, deadline) = (Vec::new(), Instant::now() + DEADLINE);
        loop {
            points.extend(self.receive());
            if let Some(found) = found(&points) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "not found in {} points",
                points.len()
            );
        }
    }

    /// Receives points until one is of the source `monitoring` and of an interval that began after this uptime, and returns that
    /// one. Points that were sent before may still wait in a socket.
    ///
    /// # Panics
    /// Panics like [`Receive::until`].
    fn own_after(&mut self, uptime_us: i64) -> Point
    where
        Self: Sized,
    {
        self.until(|point| {
            point.measurement == "monitoring" && point.integer("uptime_us") > uptime_us
        })
    }
}

/// A receiver of datagrams.
#[derive(Debug)]
pub struct Udp(UdpSocket);

impl Udp {
    /// Opens a receiver on any free port.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn open() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        socket.set_read_timeout(Some(DEADLINE)).expect("not zero");
        let buffer = SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES);
        buffer.expect("an option");
        Self(socket)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().expect("bound").port()
    }

    /// Returns the `--influx` argument that makes a guest send here.
    pub fn target(&self) -> String {
        format!("--influx=udp://{HOST_SEEN_BY_GUEST}:{}", self.port())
    }

    /// Returns a function that tells how many datagrams the system has dropped because this receiver's buffer was full.
    pub fn dropped(&self) -> impl Fn() -> u64 + use<> {
        let port = self.port();
        move || dropped_at(port)
    }

    /// Receives points like [`Receive::until`], but returns `None` if the guest ends before.
    ///
    /// # Panics
    /// Panics like [`Receive::receive`], and if neither happens before the deadline.
    pub fn until_end_of(
        &mut self,
        guest: &mut Running,
        mut wanted: impl FnMut(&Point) -> bool,
    ) -> Option<Point> {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let has_ended = guest.has_ended();
            if let Some(point) = self.receive_soon().into_iter().find(&mut wanted) {
                return Some(point);
            }
            if has_ended {
                return None;
            }
        }
        panic!("no such point came, and the guest did not end");
    }

    /// Returns the points of the next datagram, or none if none comes soon.
    fn receive_soon(&mut self) -> Vec<Point> {
        let soon = Some(Duration::from_millis(100));
        self.0.set_read_timeout(soon).expect("not zero");
        let mut buffer = [0; 1 << 16];
        let received = self.0.recv(&mut buffer);
        self.0.set_read_timeout(Some(DEADLINE)).expect("not zero");
        match received {
            Ok(length) => whole_lines(&buffer[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Vec::new()
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Returns the number of datagrams that the system has dropped at this port, which is open, because the receiver's buffer was full.
fn dropped_at(port: u16) -> u64 {
    let table = fs::read_to_string("/proc/net/udp").expect("Linux");
    // The second column is ADDRESS:PORT in hexadecimal digits, the last one the drops.
    let port = format!(":{port:04X}");
    let mut rows = table.lines().map(|row| row.split_whitespace());
    let drops = rows.find_map(|mut row| row.nth(1)?.ends_with(&port).then(|| row.last())?);
    drops
        .expect("the socket is open")
        .parse()
        .expect("a number")
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

/// Returns the points of a datagram.
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

/// Datagrams that a thread takes from the socket as they come. Hundreds at once would fill the socket's buffer before they are
/// parsed.
#[derive(Debug)]
pub struct Drained(std::sync::mpsc::Receiver<Vec<u8>>);

impl Udp {
    /// Receives in a separate thread until no more datagrams come.
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
    /// Opens a receiver on any free port.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn open() -> Self {
        Self::open_at(0)
    }

    /// Opens a receiver on this port, for example again after a close.
    ///
    /// # Panics
    /// Panics if the port is not available.
    pub fn open_at(port: u16) -> Self {
        // The standard library sets SO_REUSEADDR, so a port can be reused at once.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("the port");
        let port = listener.local_addr().expect("bound").port();
        Self { listener, port }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the `--influx` argument that makes a guest send here.
    pub fn target(&self) -> String {
        format!("--influx=tcp://{HOST_SEEN_BY_GUEST}:{}", self.port)
    }

    /// Waits for a connection.
    ///
    /// # Panics
    /// Panics if no connection comes before the deadline.
    pub fn accept(&self) -> Connection {
        // A listener has no timeout, so a thread waits for the connection.
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

/// A receiver that keeps the points of the source `monitoring`, to account for every interval.
#[derive(Debug)]
pub struct Intervals<R> {
    receiver: R,
    own: Vec<Point>,
}

impl<R: Receive> Intervals<R> {
    /// Keeps the points that come from now on.
    pub fn of(receiver: R) -> Self {
        Self {
            receiver,
            own: Vec::new(),
        }
    }

    /// Checks what [`are_accounted_for`] checks, for the points that came.
    ///
    /// # Panics
    /// Panics like [`are_accounted_for`].
    pub fn are_accounted_for(&self, interval: Duration) {
        are_accounted_for(&self.own, interval);
    }
}

/// Checks that every interval between the first of these points of the source `monitoring` and the last one was sent or counted as
/// missed. On a busy host some are missed.
///
/// # Panics
/// Panics if one is not accounted for, or if there are not two points.
pub fn are_accounted_for(own: &[Point], interval: Duration) {
    let [first, .., last] = own else {
        panic!("{} points of monitoring", own.len());
    };
    let since = |field: &str| last.integer(field) - first.integer(field);
    let sent = i64::try_from(own.len() - 1).expect("few");
    let missed = since("intervals_missed");
    let passed = since("uptime_us") as f64 / interval.as_micros() as f64;
    // The first point may be late in its interval, and the last one too.
    assert!(
        ((sent + missed) as f64 - passed).abs() < 1.0,
        "{sent} intervals sent and {missed} missed of {passed}"
    );
}

impl<R: Receive> Receive for Intervals<R> {
    fn receive(&mut self) -> Vec<Point> {
        let points = self.receiver.receive();
        let own = points
            .iter()
            .filter(|point| point.measurement == "monitoring");
        self.own.extend(own.cloned());
        points
    }
}

/// Checks that a guest's times, in nanoseconds since 1970, are between this time of the host and now. A guest's date lags behind the
/// host by up to two seconds, because its RTC has whole seconds and QEMU starts it with one.
///
/// # Panics
/// Panics if one is not.
pub fn are_dated_since(began: SystemTime, times: impl IntoIterator<Item = i64>) {
    let nanos = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH).expect("after 1970");
        i64::try_from(since.as_nanos()).expect("before 2262")
    };
    let earliest = nanos(began - Duration::from_secs(2));
    // The clocks may drift apart.
    let latest = nanos(SystemTime::now() + Duration::from_secs(1));
    for time in times {
        assert!(
            (earliest..latest).contains(&time),
            "{time} is not between {earliest} and {latest}"
        );
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

    /// The n-th point of the source `monitoring`.
    fn own((uptime_us, missed): (i64, i64)) -> Point {
        points(&format!(
            "monitoring uptime_us={uptime_us}i,intervals_missed={missed}i 1"
        ))
        .remove(0)
    }

    fn accounted(points: &[(i64, i64)]) {
        let own: Vec<Point> = points.iter().copied().map(own).collect();
        are_accounted_for(&own, Duration::from_millis(1));
    }

    #[test]
    fn intervals_that_were_sent_or_missed_are_accounted_for() {
        accounted(&[(900, 7), (2_000, 7), (7_100, 11)]);
    }

    #[test]
    #[should_panic(expected = "2 intervals sent and 3 missed of 6.2")]
    fn an_interval_that_is_neither_sent_nor_missed_fails_the_test() {
        accounted(&[(900, 7), (2_000, 7), (7_100, 10)]);
    }

    #[test]
    fn a_datagram_that_finds_no_room_is_counted_as_dropped() {
        let udp = Udp::open();
        let to = (Ipv4Addr::LOCALHOST, udp.port());
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        assert_eq!(dropped_at(udp.port()), 0);
        let full = (0..1 << 20).any(|_| {
            sender.send_to(&[b'#'; 1_400], to).expect("sent");
            dropped_at(udp.port()) > 0
        });
        assert!(full);
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
