//! The rules that a trace can break.

use core::fmt;

use crate::backtrace::FRAMES_MAX;

/// The first broken rule and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The offset in the stream, in bytes, of the byte that broke the rule.
    pub offset: usize,
    /// The rule.
    pub fault: Fault,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.fault)
    }
}

impl core::error::Error for Error {}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display of each says it in one sentence")]
pub enum Fault {
    Cut {
        wanted: usize,
        left: usize,
    },
    NotAPacket(u32),
    SizeNotInBytes(u32),
    SmallerThanItsHeader(usize),
    LargerThanReadersTake(usize),
    Version(u16),
    VersionChanged {
        from: u16,
        to: u16,
    },
    Pid {
        trace: u64,
        packet: u64,
    },
    EndBeforeBegin {
        begin: u64,
        end: u64,
    },
    BackInTime {
        last: u64,
        time: u64,
    },
    AfterTheEnd {
        end: u64,
        time: u64,
    },
    FirstPacket(&'static str),
    StartDiffers {
        header: u64,
        event: u64,
    },
    Rate(u64),
    WordSize(u8),
    SecondInfo,
    EventCode(u32),
    Number(i64),
    TextWithoutEnd,
    BeyondThePacket,
    NoSuchName {
        place: u8,
        known: usize,
    },
    CodeTooLarge(u64),
    DefinedDifferently(u64),
    Undefined(u64),
    Source(u8),
    NoSamples,
    CommonPrefix {
        prefix: i64,
        last: usize,
    },
    EmptyStack,
    StackTooDeep,
    Memory(usize),
    EmptySlot(u16),
    CheckedSlot(u16),
    Check {
        slot: u16,
        said: (u16, u64),
        known: (u16, u64),
    },
    FirstId {
        expected: u64,
        said: u64,
    },
    IdsEndBeforeTheyBegin {
        begin: u64,
        end: u64,
    },
    NextId {
        counted: u64,
        said: u64,
    },
    IdTwice(u64),
    NoSuchObject {
        delta: i64,
        next: u64,
    },
    NotAlive(u64),
    PromotedTwice(u64),
    PromotedNotMinor(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut { wanted, left } => write!(
                f,
                "the stream is cut: {wanted} bytes were to come, {left} are left"
            ),
            Self::NotAPacket(magic) => write!(f, "not a packet: it begins with {magic:#010x}"),
            Self::SizeNotInBytes(bits) => write!(f, "a packet of {bits} bits"),
            Self::SmallerThanItsHeader(size) => {
                write!(f, "a packet of {size} bytes, less than its header")
            }
            Self::LargerThanReadersTake(size) => {
                write!(f, "a packet of {size} bytes, more than readers take")
            }
            Self::Version(version) => write!(f, "version {version}, which is not known"),
            Self::VersionChanged { from, to } => {
                write!(f, "version {to} in a trace of version {from}")
            }
            Self::Pid { trace, packet } => write!(f, "pid {packet} in the trace of pid {trace}"),
            Self::EndBeforeBegin { begin, end } => {
                write!(f, "a packet from {begin} µs to {end} µs")
            }
            Self::BackInTime { last, time } => write!(f, "time {time} µs after {last} µs"),
            Self::AfterTheEnd { end, time } => {
                write!(f, "time {time} µs in a packet that ends at {end} µs")
            }
            Self::FirstPacket(what) => write!(f, "the first packet {what}"),
            Self::StartDiffers { header, event } => {
                write!(f, "the trace starts at {header} µs and at {event} µs")
            }
            Self::Rate(bits) => write!(f, "a sampling rate of {}", f64::from_bits(*bits)),
            Self::WordSize(bits) => write!(f, "words of {bits} bits"),
            Self::SecondInfo => f.write_str("a second trace begins"),
            Self::EventCode(code) => write!(f, "no event has the code {code}"),
            Self::Number(number) => write!(f, "the number {number} where none below 0 may be"),
            Self::TextWithoutEnd => f.write_str("a text without an end"),
            Self::BeyondThePacket => f.write_str("an event beyond the end of its packet"),
            Self::NoSuchName { place, known } => write!(f, "the name at place {place} of {known}"),
            Self::CodeTooLarge(code) => write!(f, "code {code:#x}, whose highest bit readers drop"),
            Self::DefinedDifferently(code) => {
                write!(f, "code {code:#x} was defined differently before")
            }
            Self::Undefined(code) => write!(f, "code {code:#x} is not defined"),
            Self::Source(source) => write!(f, "source {source}, which is not known"),
            Self::NoSamples => f.write_str("a block without samples"),
            Self::CommonPrefix { prefix, last } => {
                write!(f, "{prefix} frames in common with a stack of {last}")
            }
            Self::EmptyStack => f.write_str("an empty stack"),
            Self::StackTooDeep => write!(f, "a stack of more than {FRAMES_MAX} frames"),
            Self::Memory(limit) => write!(
                f,
                "to go on takes more memory than the limit of {limit} bytes"
            ),
            Self::EmptySlot(slot) => write!(f, "slot {slot} of the cache, which has no code"),
            Self::CheckedSlot(slot) => {
                write!(f, "slot {slot} is to be compared, which does not exist")
            }
            Self::Check { slot, said, known } => write!(
                f,
                "slot {slot} of the cache is said to have prediction {} and code {:#x}, and has {} and {:#x}",
                said.0, said.1, known.0, known.1
            ),
            Self::FirstId { expected, said } => {
                write!(f, "the packet's first id is {said}, not {expected}")
            }
            Self::IdsEndBeforeTheyBegin { begin, end } => write!(f, "ids from {begin} to {end}"),
            Self::NextId { counted, said } => {
                write!(f, "the packet's ids end at {said}, not {counted}")
            }
            Self::IdTwice(id) => write!(f, "id {id} is allocated twice"),
            Self::NoSuchObject { delta, next } => write!(
                f,
                "the object {delta} before {next}, which was never allocated"
            ),
            Self::NotAlive(id) => write!(f, "id {id}, which is not alive"),
            Self::PromotedTwice(id) => write!(f, "id {id} is promoted twice"),
            Self::PromotedNotMinor(id) => {
                write!(f, "id {id} is promoted and was not allocated as minor")
            }
        }
    }
}
