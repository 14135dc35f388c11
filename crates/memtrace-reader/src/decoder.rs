//! Decodes a trace packet by packet and event by event.

use std::collections::HashMap;

use crate::backtrace::Cache;
use crate::bytes::Bytes;
use crate::error::{Error, Fault};
use crate::event::{Alloc, Event, Frame, Kind, Source, Stack};
use crate::header::{Header, Packet};
use crate::positions::{Names, Table};
use crate::text::Text;

const TIME_BITS: u32 = 25;
const TIME_MASK: u32 = (1 << TIME_BITS) - 1;

/// The description of the trace in its first packet.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// The beginning of the trace, in microseconds since 1970.
    pub start: u64,
    /// The probability with which a word was sampled: more than 0 and at most 1.
    pub rate: f64,
    /// Bytes of a word.
    pub word_bytes: u64,
    /// The program.
    pub executable: Text,
    /// The machine.
    pub host: Text,
    /// The parameters of the program's run-time system.
    pub parameters: Text,
    /// The process.
    pub pid: u64,
    /// More information; empty in version 1.
    pub context: Text,
    /// The version of the format.
    pub version: u16,
}

/// The state of one domain: everything that its events depend on.
struct Domain {
    cache: Cache,
    names: Names,
    last: u64,
    next_id: u64,
}

impl Domain {
    fn new(start: u64) -> Self {
        Self {
            cache: Cache::new(),
            names: Names::default(),
            last: start,
            next_id: 0,
        }
    }
}

/// A live block, with its rule for promotion.
#[derive(Clone, Copy)]
enum Live {
    Minor,
    Promoted,
    Other,
}

/// Reads packets that come one by one, for example from a socket. For a whole stream see [`Trace`](crate::Trace).
pub struct Decoder {
    info: Info,
    domains: HashMap<u16, Domain>,
    table: Table,
    live: HashMap<u64, Live>,
    /// The bytes of the domains' caches.
    caches: usize,
    limit: usize,
}

/// The bytes of a live block in the table, with room to grow.
const LIVE_BYTES: usize = 40;
/// The same for a domain without its cache.
const DOMAIN_BYTES: usize = size_of::<Domain>() + 64;

/// The progress of reading a packet.
#[derive(Debug)]
pub struct Progress<'a> {
    header: Header,
    offset: usize,
    bytes: Bytes<'a>,
    next_id: u64,
}

impl Progress<'_> {
    /// Returns whether all events were read. One more call of [`Decoder::next_event`] then compares the ids.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Decoder {
    /// Makes a decoder from the first packet.
    ///
    /// # Errors
    /// Returns the first broken rule.
    pub fn new(packet: &Packet<'_>) -> Result<Self, Error> {
        let info = read_info(packet)?;
        Ok(Self {
            domains: HashMap::new(),
            table: Table::default(),
            live: HashMap::new(),
            caches: 0,
            limit: usize::MAX,
            info,
        })
    }

    /// Limits the memory: a packet or an event after which the decoder holds more bytes than this is a fault.
    pub const fn limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// Returns the bytes that the decoder holds: domains with their caches and stacks, definitions, live blocks. An estimate
    /// that is too high rather than too low.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.caches
            + self.domains.len() * DOMAIN_BYTES
            + self.live.len() * LIVE_BYTES
            + self.table.memory()
    }

    /// Returns the description in the first packet.
    #[must_use]
    pub const fn info(&self) -> &Info {
        &self.info
    }

    /// Returns the number of live blocks.
    #[must_use]
    pub fn live(&self) -> usize {
        self.live.len()
    }

    /// Begins a packet after the first. The packet before must have been read to its end, or the ids will not fit.
    ///
    /// # Errors
    /// Fails if the header contradicts the first one or the events so far.
    pub fn begin<'a>(&mut self, packet: &Packet<'a>) -> Result<Progress<'a>, Error> {
        let Packet {
            offset,
            ref header,
            content,
        } = *packet;
        let fault = |at: usize, fault| {
            Err(Error {
                offset: offset + at,
                fault,
            })
        };
        let info = &self.info;
        // The fields from the domain on are two bytes further in version 3.
        let shift = header.len() - 66;
        if header.version != info.version {
            return fault(
                28,
                Fault::VersionChanged {
                    from: info.version,
                    to: header.version,
                },
            );
        }
        if header.pid != info.pid {
            return fault(
                30,
                Fault::Pid {
                    trace: info.pid,
                    packet: header.pid,
                },
            );
        }
        if self.memory() > self.limit {
            return fault(0, Fault::Memory(self.limit));
        }
        let domain = self
            .domains
            .entry(header.domain)
            .or_insert_with(|| Domain::new(info.start));
        if header.begin < domain.last {
            return fault(
                8,
                Fault::BackInTime {
                    last: domain.last,
                    time: header.begin,
                },
            );
        }
        let gaps = header.version == 3 && header.first_id > domain.next_id;
        if header.first_id != domain.next_id && !gaps {
            return fault(
                50 + shift,
                Fault::FirstId {
                    expected: domain.next_id,
                    said: header.first_id,
                },
            );
        }
        if let Some(check) = &header.check
            && let Err(wrong) = domain.cache.compare(check)
        {
            return fault(38 + shift, wrong);
        }
        Ok(Progress {
            bytes: Bytes::new(content, offset + header.len()),
            next_id: header.first_id,
            offset,
            header: header.clone(),
        })
    }

    /// Returns the next event of a packet, or `None` at its end.
    ///
    /// # Errors
    /// Returns the first broken rule. Events that are read after an error have no meaning.
    pub fn next_event(&mut self, packet: &mut Progress<'_>) -> Result<Option<Event<'_>>, Error> {
        let header = &packet.header;
        let start = self.info.start;
        let domain = self
            .domains
            .entry(header.domain)
            .or_insert_with(|| Domain::new(start));
        if packet.bytes.is_empty() {
            domain.next_id = packet.next_id;
            if packet.next_id != header.next_id {
                return Err(Error {
                    offset: packet.offset + header.len() - 8,
                    fault: Fault::NextId {
                        counted: packet.next_id,
                        said: header.next_id,
                    },
                });
            }
            return Ok(None);
        }
        let bytes = &mut packet.bytes;
        let at = bytes.clone();
        let word = bytes.u32()?;
        let time = time_of(word, header);
        if time < domain.last {
            return at.fault(Fault::BackInTime {
                last: domain.last,
                time,
            });
        }
        if time > header.end {
            return at.fault(Fault::AfterTheEnd {
                end: header.end,
                time,
            });
        }
        domain.last = time;
        let kind = match word >> TIME_BITS {
            0 => return at.fault(Fault::SecondInfo),
            1 => {
                let code = self.table.define(bytes, &mut domain.names)?;
                Kind::Location(Frame {
                    code,
                    positions: self.table.get(code).unwrap_or_default(),
                })
            }
            code @ (2 | 101..=116) => {
                let caches = &mut self.caches;
                let table = &self.table;
                let alloc = read_alloc(code, packet.next_id, bytes, (domain, caches), table, &at)?;
                packet.next_id += 1;
                let live = if alloc.source == Source::Minor {
                    Live::Minor
                } else {
                    Live::Other
                };
                if self.live.insert(alloc.id, live).is_some() {
                    return at.fault(Fault::IdTwice(alloc.id));
                }
                Kind::Alloc(alloc)
            }
            3 => Kind::Promote(promote(&mut self.live, packet)?),
            4 => {
                let (id, at) = object(packet, packet.header.version == 3)?;
                if self.live.remove(&id).is_none() {
                    return at.fault(Fault::NotAlive(id));
                }
                Kind::Collect(id)
            }
            code => return at.fault(Fault::EventCode(code)),
        };
        Ok(Some(Event {
            offset: at.offset(),
            time,
            since_start: time - start,
            kind,
        }))
    }
}

/// Returns the time of an event: its own 25 bits, and the packet's bits above them.
fn time_of(word: u32, header: &Header) -> u64 {
    let low = u64::from(word & TIME_MASK);
    let begin = header.begin;
    let begin_low = begin & u64::from(TIME_MASK);
    let carry = if low < begin_low { 1 << TIME_BITS } else { 0 };
    (begin - begin_low).saturating_add(low + carry)
}

fn read_info(packet: &Packet<'_>) -> Result<Info, Error> {
    let header = &packet.header;
    let fault = |at: usize, what| {
        Err(Error {
            offset: packet.offset + at,
            fault: Fault::FirstPacket(what),
        })
    };
    if header.begin != header.end {
        return fault(16, "has a begin and another end");
    }
    if header.check.is_some() {
        return fault(header.len() - 28, "says something of the cache");
    }
    if (header.first_id, header.next_id) != (0, 0) {
        return fault(header.len() - 16, "has ids");
    }
    let mut bytes = Bytes::new(packet.content, packet.offset + header.len());
    let at = bytes.clone();
    let word = bytes.u32()?;
    if word >> TIME_BITS != 0 {
        return at.fault(Fault::FirstPacket("does not say what the trace is"));
    }
    let time = time_of(word, header);
    if time != header.begin {
        return at.fault(Fault::StartDiffers {
            header: header.begin,
            event: time,
        });
    }
    let at = bytes.clone();
    let rate = f64::from_bits(bytes.u64()?);
    if !(rate > 0.0 && rate <= 1.0) {
        return at.fault(Fault::Rate(rate.to_bits()));
    }
    let at = bytes.clone();
    let word_bits = bytes.u8()?;
    if ![32, 64].contains(&word_bits) {
        return at.fault(Fault::WordSize(word_bits));
    }
    let executable = Text::new(bytes.text()?);
    let host = Text::new(bytes.text()?);
    let parameters = Text::new(bytes.text()?);
    let at = bytes.clone();
    let pid = bytes.u64()?;
    if pid != header.pid {
        return at.fault(Fault::Pid {
            trace: pid,
            packet: header.pid,
        });
    }
    let context = Text::new(if header.version == 1 {
        b""
    } else {
        bytes.text()?
    });
    if !bytes.is_empty() {
        return bytes.fault(Fault::FirstPacket("has more than one event"));
    }
    Ok(Info {
        start: header.begin,
        rate,
        word_bytes: u64::from(word_bits) / 8,
        executable,
        host,
        parameters,
        pid,
        context,
        version: header.version,
    })
}

fn read_alloc<'t>(
    code: u32,
    id: u64,
    bytes: &mut Bytes<'_>,
    (domain, caches): (&'t mut Domain, &mut usize),
    table: &'t Table,
    at: &Bytes<'_>,
) -> Result<Alloc<'t>, Error> {
    let is_short = code != 2;
    let (length, samples, source) = if is_short {
        (u64::from(code - 100), 1, Source::Minor)
    } else {
        let (length, samples) = (bytes.count()?, bytes.count()?);
        let place = bytes.clone();
        let source = match bytes.u8()? {
            0 => Source::Minor,
            1 => Source::Major,
            2 => Source::External,
            other => return place.fault(Fault::Source(other)),
        };
        (length, samples, source)
    };
    if samples == 0 {
        return at.fault(Fault::NoSamples);
    }
    let place = bytes.clone();
    let prefix = bytes.number()?;
    let last = domain.cache.stack.len();
    let Some(common_prefix) = usize::try_from(prefix)
        .ok()
        .filter(|prefix| *prefix <= last)
    else {
        return place.fault(Fault::CommonPrefix { prefix, last });
    };
    let codewords = if is_short {
        bytes.u8()?.into()
    } else {
        bytes.u16()?
    };
    let before = domain.cache.memory();
    let read = domain.cache.read(common_prefix, codewords, bytes);
    *caches += domain.cache.memory() - before;
    read?;
    let codes = &domain.cache.stack[..];
    if codes.is_empty() {
        return at.fault(Fault::EmptyStack);
    }
    // The common frames were checked with the event before.
    if let Some(code) = codes[common_prefix..]
        .iter()
        .find(|code| table.get(**code).is_none())
    {
        return at.fault(Fault::Undefined(*code));
    }
    Ok(Alloc {
        id,
        length,
        samples,
        source,
        common_prefix,
        codewords,
        stack: Stack { codes, table },
    })
}

/// Returns the object that an event is about, and the place of the reference. Only in version 3 may the object have been allocated
/// in another domain, with an id that is still to come in this one.
fn object<'a>(packet: &mut Progress<'a>, may_be_later: bool) -> Result<(u64, Bytes<'a>), Error> {
    let at = packet.bytes.clone();
    let (delta, next) = (packet.bytes.number()?, packet.next_id);
    let id = next
        .checked_sub(1)
        .and_then(|newest| newest.checked_sub_signed(delta));
    match id {
        Some(id) if delta >= 0 || may_be_later => Ok((id, at)),
        _ => at.fault(Fault::NoSuchObject { delta, next }),
    }
}

fn promote(live: &mut HashMap<u64, Live>, packet: &mut Progress<'_>) -> Result<u64, Error> {
    let (id, at) = object(packet, false)?;
    match live.get_mut(&id) {
        Some(live @ Live::Minor) => *live = Live::Promoted,
        Some(Live::Promoted) => return at.fault(Fault::PromotedTwice(id)),
        Some(Live::Other) => return at.fault(Fault::PromotedNotMinor(id)),
        None => return at.fault(Fault::NotAlive(id)),
    }
    Ok(id)
}
