//! The default workload: a small service that keeps records.
//!
//! Each step takes a batch of requests as text, parses them, serves them from a bounded cache, builds the responses and writes a
//! sorted log of the batch. Then it drops everything except the cache. The work is split over functions that are never inlined, so
//! that its profile reads like that of a service: `receive`, `parse_query`, `load_record`, `render_response`, `summarise`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;

use monitoring::metrics::{Gauge, Histogram, KeyedCounter};

use super::cache::Cache;
use super::request::{self, Request, Verb};
use super::size;
use crate::random::Random;

/// The tag by which these sources can be switched: `tag:http:disable`.
const HTTP: &[(&str, &str)] = &[("http", "demo")];
static REQUESTS: KeyedCounter = KeyedCounter::new(
    "http_requests",
    "requests by verb, and those that were malformed",
)
.unit("requests")
.tags(HTTP);
static RESPONSES: Histogram = Histogram::new("http_responses", "sizes of responses")
    .unit("bytes")
    .tags(HTTP);
static RECORDS_CACHED: Gauge = Gauge::new("cache", "records in the cache").unit("records");

/// The requests of one step. They make 200 to 400 allocations as a rule, of which a few are large.
pub const BATCH: usize = 8;
/// The most paths in one answer to `LIST`.
const LIST_MAX: usize = 16;

/// The service. Deterministic for its seed; live memory stays below 2 MiB (a test checks this).
#[derive(Debug)]
pub struct Mixed {
    random: Random,
    cache: Cache,
    served: u64,
    rejected: u64,
}

/// One line of a batch's log.
struct Entry {
    path: String,
    status: u16,
    bytes: usize,
}

impl Mixed {
    /// Returns a service with an empty cache.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            cache: Cache::default(),
            served: 0,
            rejected: 0,
        }
    }

    /// Returns the numbers of requests that were answered and that could not be parsed.
    pub fn requests(&self) -> (u64, u64) {
        (self.served, self.rejected)
    }

    /// Serves the next [`BATCH`] requests.
    pub fn step(&mut self) {
        let batch: Vec<String> = (0..BATCH)
            .map(|_| request::receive(&mut self.random))
            .collect();
        let log: Vec<Entry> = batch.iter().map(|text| self.serve(text)).collect();
        for entry in &log {
            RESPONSES.record(entry.bytes as u64);
        }
        RECORDS_CACHED.set(self.cache.len() as i64);
        black_box(summarise(log));
    }

    /// Answers one request. Dropping the response stands for sending it.
    #[inline(never)]
    fn serve(&mut self, text: &str) -> Entry {
        let Ok(request) = Request::parse(text) else {
            self.rejected += 1;
            REQUESTS.add("malformed", 1);
            let bytes = black_box(render_response(400, "malformed request")).len();
            return Entry {
                path: String::new(),
                status: 400,
                bytes,
            };
        };
        self.served += 1;
        REQUESTS.add(request.verb.name(), 1);
        let response = match request.verb {
            Verb::Get => self.get(&request.path),
            Verb::Put => {
                self.cache.put(&request.path, request.body);
                render_response(200, "kept")
            }
            Verb::List => render_response(200, &list(&self.cache, &request.path)),
        };
        Entry {
            path: request.path,
            status: 200,
            bytes: black_box(response).len(),
        }
    }

    fn get(&mut self, path: &str) -> String {
        if let Some(record) = self.cache.get(path) {
            return render_response(200, record);
        }
        let record = load_record(path, &mut self.random);
        let response = render_response(200, &record);
        self.cache.put(path, record);
        response
    }
}

/// Returns a record that is not in the cache, as a database would deliver it.
#[inline(never)]
fn load_record(path: &str, random: &mut Random) -> String {
    let mut record = path.to_owned();
    let rest = size::draw(random).saturating_sub(path.len());
    record.reserve_exact(rest);
    record += &"=".repeat(rest);
    record
}

#[inline(never)]
fn render_response(status: u16, body: &str) -> String {
    let head = format!("{status}\nlength: {}\n\n", body.len());
    let mut response = String::with_capacity(head.len() + body.len());
    response += &head;
    response += body;
    response
}

/// Returns the paths from the given one on, largest record first.
#[inline(never)]
fn list(cache: &Cache, from: &str) -> String {
    let mut found: Vec<(usize, String)> = cache
        .list_from(from)
        .take(LIST_MAX)
        .map(|(path, bytes)| (bytes, path.to_owned()))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    let lines: Vec<String> = found
        .iter()
        .map(|(bytes, path)| format!("{bytes} {path}"))
        .collect();
    lines.join("\n")
}

/// Returns the log of a batch, largest answer first, and drops the entries.
#[inline(never)]
fn summarise(mut log: Vec<Entry>) -> String {
    log.sort_by(|a, b| (b.bytes, &b.path).cmp(&(a.bytes, &a.path)));
    let lines: Vec<String> = log
        .iter()
        .map(|e| format!("{} {} {}", e.status, e.bytes, e.path))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::cache::{BYTES_MAX, ENTRIES_MAX};
    use crate::workload::request::RECORDS;

    #[test]
    fn every_request_is_served_or_rejected() {
        let mut mixed = Mixed::new(1);
        (0..500).for_each(|_| mixed.step());
        let (served, rejected) = mixed.requests();
        assert_eq!(served + rejected, 500 * BATCH as u64);
        // One in 64 is cut off: 62 of 4,000, with a standard deviation of 8.
        assert!((22..=102).contains(&rejected), "{rejected}");
    }

    #[test]
    fn the_cache_fills_up_to_a_bound_and_evicts() {
        let mut mixed = Mixed::new(1);
        (0..2500).for_each(|_| mixed.step());
        let (entries, bytes) = (mixed.cache.len(), mixed.cache.bytes());
        assert!(entries < RECORDS as usize && entries <= ENTRIES_MAX && bytes <= BYTES_MAX);
        assert!(
            entries == ENTRIES_MAX || bytes > BYTES_MAX - size::SIZE_MAX,
            "{entries} records, {bytes} bytes"
        );
    }

    #[test]
    fn a_response_carries_the_length_of_its_body() {
        assert_eq!(render_response(200, "kept"), "200\nlength: 4\n\nkept");
    }

    #[test]
    fn lists_and_logs_are_sorted_largest_first() {
        let mut cache = Cache::default();
        cache.put("/a", "1".into());
        cache.put("/b", "333".into());
        cache.put("/c", "22".into());
        assert_eq!(list(&cache, "/"), "3 /b\n2 /c\n1 /a");
        assert_eq!(list(&cache, "/b"), "3 /b\n2 /c");

        let entry = |path: &str, status, bytes| Entry {
            path: path.to_owned(),
            status,
            bytes,
        };
        let log = alloc::vec![entry("/a", 200, 7), entry("", 400, 20), entry("/b", 200, 7)];
        assert_eq!(summarise(log), "400 20 \n200 7 /b\n200 7 /a");
    }

    #[test]
    fn a_loaded_record_has_the_size_that_was_drawn() {
        let mut random = Random::new(5);
        for _ in 0..1000 {
            let bytes = size::draw(&mut random.clone());
            assert_eq!(load_record("/r", &mut random).len(), bytes.max(2));
        }
    }
}
