//! All bounds of the network side, with their reasons.

use units::Micros;

/// Payload of the largest datagram, in bytes. 1,500 (Ethernet) minus 20 (IPv4) and 8 (UDP) is 1,472. Another 40 are
/// reserved for a tunnel, because the loss of one fragment would lose every line of the datagram.
pub const DATAGRAM_MAX: usize = 1_432;
/// Longest line, in bytes, with its line feed. It must fit a datagram, because lines are never cut.
pub const LINE_MAX: usize = DATAGRAM_MAX;
/// Lines that one source may need when its fields do not fit one line. Before the agent encodes a source, the
/// outbox has room for this many lines of full length.
pub const LINES_PER_SOURCE: usize = 4;
/// Lines written in one round while the outbox has room: about one datagram's worth. Encoding a line takes 0.1 µs
/// to 20 µs (under TCG), and a turn has eight rounds.
pub const LINES_PER_ROUND: usize = 8;
/// Memory for waiting lines, in bytes. At about 500 bytes per line and ten lines per interval, it covers a
/// receiver's absence of two minutes.
pub const QUEUE_BYTES: usize = 64 * 1024;
/// The most waiting lines. Memory is the tighter bound unless lines are shorter than 64 bytes.
pub const QUEUE_LINES: usize = 1_024;
/// Send buffer of the connection that carries metrics, in bytes: five full segments, enough to fill a link of
/// 100 Mbit/s at the round trip of a private network (0.5 ms).
pub const PUSH_SEND_BYTES: usize = 8 * 1024;
/// Receive buffer of that connection, in bytes. Bytes from a receiver are discarded.
pub const PUSH_RECEIVE_BYTES: usize = 256;
/// Memory for lines in flight, in bytes: the send buffer's size, and one line that does not fit it any more.
pub const ON_THE_WAY_BYTES: usize = PUSH_SEND_BYTES + LINE_MAX;

/// Connections that the control port serves at a time: a few people and a script.
pub const CONTROL_CONNECTIONS: usize = 8;
/// Sockets that wait for the connection after those, so that it is refused and counted. smoltcp has no backlog:
/// without a listening socket, a SYN gets a reset that nobody counts. Two, so that one listens while the other's
/// reset is sent.
pub const CONTROL_SPARE: usize = 2;
/// Sockets of the control port.
pub const CONTROL_SOCKETS: usize = CONTROL_CONNECTIONS + CONTROL_SPARE;
/// Longest control command, in bytes, without its end.
pub const COMMAND_MAX: usize = 1_024;
/// Longest reply to a control command that is made at once, in bytes, with its line feed. A longer reply, a
/// listing, is made in parts of at most this size.
pub const REPLY_MAX: usize = 1_024;
/// Receive buffer of a control connection, in bytes: a whole command in one piece.
pub const CONTROL_RECEIVE_BYTES: usize = 1_024;
/// Send buffer of a control connection, in bytes: a whole short reply, or a piece of a listing.
pub const CONTROL_SEND_BYTES: usize = REPLY_MAX;

/// Control connections that have not proven to know the token yet, where one is needed. The next one takes the place of
/// the oldest.
pub const UNPROVEN_MAX: usize = 4;
/// Time in which a connection must prove that it knows the token: some round trips of a slow network.
pub const PROVE_WITHIN: Micros = Micros::from_secs(2);
/// Time since its last command after which a control connection gives its place to a newcomer if all are taken.
pub const YIELDS_AFTER: Micros = Micros::from_secs(2);
/// Time after which an idle control connection is closed, unless the configuration changes it.
pub const CONTROL_IDLE: Micros = Micros::from_secs(60);
/// Time after which a connection whose handshake is not complete gives its socket back: two retransmissions of the
/// SYN-ACK (after 1 s and 2 s) and a margin.
pub const OPENING: Micros = Micros::from_secs(5);
/// Time after which a closed connection is reset if the peer does not close its half, or does not read the rest.
pub const LINGER: Micros = Micros::from_secs(5);
/// Bytes that the peer may still send in this time; with more the connection is reset. They may be a browser's
/// request, or a window's worth in flight. Unread they would fill the receive buffer, and the peer's close could
/// not arrive.
pub const LINGER_BYTES: usize = 64 * 1024;

/// Time after which a socket is reused although its last segment (a reset, or the acknowledgement of a close) has
/// not left. It is longer than smoltcp delays an acknowledgement (10 ms), so only a segment that cannot be sent is
/// given up. The peer's retransmission then gets a reset.
pub const LEAVING: Micros = Micros::from_secs(1);

/// Time between the keep-alive probes of an idle connection that carries metrics.
pub const KEEP_ALIVE: Micros = Micros::from_secs(10);
/// Silence after which that connection is given up: three unanswered probes and a margin.
pub const SILENCE: Micros = Micros::from_secs(35);
/// Time after which a peer is given up that acknowledges no byte of the waiting data. It is longer than a
/// stop-the-world pause or a restart of a receiver's container; the queue holds the lines of this time.
pub const STALL: Micros = Micros::from_secs(30);
/// Time in which a connection that the peer has closed can acknowledge the lines in flight.
pub const DRAIN: Micros = Micros::from_secs(2);
/// Shortest time for a connection attempt: a round trip, and one second in which smoltcp does not repeat an ARP
/// request.
pub const CONNECT_MIN: Micros = Micros::from_millis(1_500);
/// Longest time for a connection attempt: three retransmissions of the SYN (after 1, 2 and 4 s).
pub const CONNECT_MAX: Micros = Micros::from_secs(8);
/// DHCP messages that are accepted at once. A lease takes two, an offer and an acknowledgement; a few servers may
/// answer.
pub const DHCP_BURST: u32 = 8;
/// Time after which one more is accepted. smoltcp answers each refusal at once with a new request. Without this
/// limit, a server that refuses everything would get thousands of requests per second, before all other work.
pub const DHCP_EVERY: Micros = Micros::from_secs(1);
/// Time without an address after which DHCP is reported to fail: five requests, 2 s apart, had no answer.
pub const DHCP_PATIENCE: Micros = Micros::from_secs(10);
/// Time between two questions for one hardware address (RFC 1122, section 2.3.2.1).
pub const ARP_EVERY: Micros = Micros::from_secs(1);
/// Time after which a host that was silent is asked whether it is still there, half of the minute for which RFC 1122
/// (section 2.3.2.1) lets an entry live.
pub const ARP_FRESH: Micros = Micros::from_secs(30);
/// Questions to a known host before everybody is asked.
pub const ARP_PROBES: u8 = 3;
/// Time between two announcements that defend our address (RFC 5227, section 2.4: DEFEND_INTERVAL).
pub const ARP_DEFEND: Micros = Micros::from_secs(10);
/// Hardware addresses of clients. More than there are sockets that listen, so that a client with a connection keeps its
/// place, and the next one finds one.
pub const CLIENTS: usize = 16;
/// Longest frame, in bytes: 1,500 (Ethernet) with a header of 14.
pub const FRAME_MAX: usize = 1_514;
/// Longest segment that waits for the hardware address of its next hop, in bytes: one that opens a connection.
pub const PARKED_MAX: usize = 96;

/// First pause after a failed attempt.
pub const BACK_OFF_MIN: Micros = Micros::from_millis(100);
/// Longest pause. The pause also never exceeds the interval: one attempt per interval is not more traffic than the
/// metrics are, and lines must arrive within three intervals of a receiver's return.
pub const BACK_OFF_MAX: Micros = Micros::from_secs(30);
/// Lines that a peer's TCP acknowledged within this time before its connection broke are counted as in doubt: the
/// receiver may not have read them. A live receiver reads within a second.
pub const DOUBT: Micros = Micros::from_secs(1);

/// Connections to the memtrace port at a time: one gets a trace, one is being refused.
pub const TRACE_CONNECTIONS: usize = 2;
/// Sockets of the memtrace port: one more listens meanwhile.
pub const TRACE_SOCKETS: usize = TRACE_CONNECTIONS + 1;
/// Send buffer of the connection that gets a trace, in bytes, unless the configuration changes it. So many bytes can be in
/// flight, so the buffer divided by the round trip is the largest throughput: 24 MB/s at 1 ms. More would not fit the
/// mebibyte of all monitoring. A packet of up to 32 KiB waits in the encoder, and samples wait in the ring.
pub const TRACE_SEND_BYTES: usize = 24 * 1024;
/// Smallest such buffer: two full segments, so that one leaves while the other is acknowledged.
pub const TRACE_SEND_MIN: usize = 4 * 1024;
/// Largest such buffer: 100 Mbit/s at a round trip of a third of a second.
pub const TRACE_SEND_MAX: usize = 4 * 1024 * 1024;
/// Send buffer of the port's other sockets, in bytes: a full segment. They serve clients that are refused, and a client
/// that comes while the last one's connection is being closed.
pub const TRACE_SPARE_SEND_BYTES: usize = 2 * 1024;
/// Receive buffer of the memtrace port, in bytes: the proof of a token. Any byte after it ends the trace.
pub const TRACE_RECEIVE_BYTES: usize = 128;
/// Time between two looks at the ring. It holds some 2,700 samples, at the default rate those of 200 MB of
/// allocations.
pub const TRACE_EVERY: Micros = Micros::from_millis(10);
/// If something has waited this long for the client of the memtrace port, the profile that is always on is behind,
/// and its report says so. A client that keeps up is waited for some milliseconds at a time.
pub const BEHIND: Micros = Micros::from_secs(1);
/// Time in which a client must take a packet of a trace, at most 32 KiB. A client that takes less than 550 bytes a second
/// does not read, and there is one place only. A debugger or a full disk may stop a client for less.
pub const TRACE_STALL: Micros = Micros::from_secs(60);
/// The same, while the profile that is always on loses samples because the packet waits: for a client that takes less
/// than 6.5 kB a second, the live blocks of the whole image would be wrong.
pub const TRACE_SLOW: Micros = Micros::from_secs(5);
/// Time in which a client can take the rest of a trace that was ended.
pub const ENDING: Micros = Micros::from_secs(5);

/// Frames taken from the device in one round. Each costs a few µs.
pub const FRAMES_PER_ROUND: usize = 8;
/// Rounds of receiving, working and sending in one turn: 64 frames in and as many out. Other tasks wait during a
/// turn: at most 1.2 ms under QEMU's TCG while 10,000 fields a second were sent.
pub const ROUNDS_PER_TURN: usize = 8;
/// Pause before the next attempt when the device takes no frame although one is due.
pub const DEVICE_FULL_PAUSE: Micros = Micros::from_millis(1);

const _: () = {
    assert!(LINE_MAX <= QUEUE_BYTES, "a line must fit the empty queue");
    assert!(LINE_MAX + PUSH_SEND_BYTES <= ON_THE_WAY_BYTES);
    assert!(DATAGRAM_MAX <= ON_THE_WAY_BYTES);
    assert!(
        REPLY_MAX <= CONTROL_SEND_BYTES,
        "a reply must fit the empty send buffer"
    );
    assert!(
        UNPROVEN_MAX < CONTROL_CONNECTIONS,
        "clients that know no token cannot take all places"
    );
    assert!(
        CONTROL_SPARE > 0,
        "a port needs a spare socket that listens when all others are taken"
    );
    assert!(
        CLIENTS > CONTROL_SOCKETS + TRACE_SOCKETS,
        "a client with a connection keeps its place"
    );
    assert!(TRACE_SLOW.0 >= BEHIND.0 && TRACE_SLOW.0 <= TRACE_STALL.0);
    assert!(BACK_OFF_MIN.0 <= BACK_OFF_MAX.0 && CONNECT_MIN.0 <= CONNECT_MAX.0);
};
