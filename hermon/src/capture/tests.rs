use super::*;
use std::net::TcpListener;
use tempfile::NamedTempFile;

#[path = "../../heap/tests/traces/made.rs"]
#[expect(dead_code, reason = "the tests of other crates ask for more")]
mod made;

/// Counts the reports and keeps the last one.
#[derive(Default)]
struct Told(u64, Counts);

impl Progress for &mut Told {
    fn show(&mut self, _: Instant, counts: &Counts) {
        assert!(counts.bytes >= self.1.bytes);
        self.0 += 1;
        self.1 = *counts;
    }
}

#[test]
fn a_trace_ends_before_the_packet_that_makes_it_too_large() {
    let all = made::packets(1e-3, &made::service());
    let sizes: Vec<u64> = all.iter().map(|packet| packet.len() as u64).collect();
    let four: u64 = sizes[..4].iter().sum();
    // One byte less than the fourth packet needs, and exactly enough for it.
    for (limit, kept) in [(four - 1, 3), (four, 4)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let trace = all.concat();
        // The client closes in the middle.
        thread::spawn(move || drop(listener.accept().unwrap().0.write_all(&trace)));
        let connection = connect(&address.into()).unwrap();
        let file = NamedTempFile::new().unwrap();
        let mut told = Told::default();
        let taken = Capture::new(
            connection,
            file.reopen().unwrap(),
            file.path(),
            Some(Duration::from_secs(60)),
            Stop::default(),
        )
        .told_to(&mut told)
        .at_most(limit)
        .run()
        .unwrap();
        assert_eq!((taken.over, taken.packets), (Over::Full, kept as u64));
        assert_eq!(taken.left_out as u64, sizes[kept]);
        let file = std::fs::read(file.path()).unwrap();
        assert_eq!(file, all[..kept].concat());
        assert_eq!((told.1.bytes, told.0 > 0), (file.len() as u64, true));
    }
}
