//! Writes what heaptrack's interpreter writes, file version 2 (heaptrack 1.4): a line for each thing, numbers in
//! hexadecimal.
//!
//! ```text
//! v VERSION FILEVERSION    x EXECUTABLE    X COMMAND    I PAGESIZE PAGES
//! s TEXT                                   texts count from 1
//! i CODE MODULE [FUNCTION FILE LINE]…      code addresses count from 1; the innermost inlined function first
//! t I PARENT                               stacks count from 1; 0: no parent, the outermost frame
//! a SIZE T                                 kinds of allocations count from 0
//! c MILLISECONDS   + A   - A               the time; an allocation; a free
//! ```
//!
//! heaptrack counts calls. Here a call is a sampled block, and its size is all the bytes that its hits stand for. So
//! bytes are estimates as everywhere else, and numbers of calls are those of samples.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use memtrace_reader::{Event, Kind};

use super::numbers::Numbers;
use crate::events::Trace;
use crate::named::Named;

/// heaptrack 1.4.0, which knows file versions up to 3.
const HEAPTRACK: u32 = 0x01_04_00;
const FILE: u32 = 2;

/// Writes the events of a trace, which is read a second time.
pub(super) fn write(named: &Named, trace: impl Read, out: &mut dyn Write) -> io::Result<()> {
    let info = &named.profile.info;
    let [host, executable] = [&info.host, &info.executable].map(|text| line(&text.to_string()));
    writeln!(
        out,
        "v {HEAPTRACK:x} {FILE:x}\nx {executable}\nX {host} {executable}\nI 1000 0"
    )?;
    let mut book = Book {
        named,
        out,
        module: 0,
        texts: Numbers::default(),
        codes: Numbers::default(),
        nodes: Numbers::default(),
        kinds: Numbers::default(),
        stacks: HashMap::new(),
        stack_bytes: 0,
        live: HashMap::new(),
        millis: 0,
    };
    book.module = book.text(&executable)?;
    let trace = Trace::open(trace).map_err(|error| io::Error::other(error.to_string()))?;
    let mut written = Ok(());
    // Within the same limit as the profile.
    trace.each(named.profile.memory, &mut |event| {
        if written.is_ok() {
            written = book.event(event);
        }
        book.memory()
    })?;
    written
}

/// The things that have numbers in the file.
struct Book<'s> {
    named: &'s Named,
    out: &'s mut dyn Write,
    module: u64,
    texts: Numbers<String>,
    codes: Numbers<u64>,
    /// The nodes, by parent and code.
    nodes: Numbers<(u64, u64)>,
    /// The kinds of allocations, by stack and size.
    kinds: Numbers<(u64, u64)>,
    /// The innermost node of each stack.
    stacks: HashMap<Box<[u64]>, u64>,
    /// The bytes of the stacks and their nodes.
    stack_bytes: usize,
    /// The kinds of the live blocks.
    live: HashMap<u64, u64>,
    /// The time that was written last.
    millis: u64,
}

/// The bytes of a stack in the table, and of each of its frames with its node.
const STACK_BYTES: usize = 96;
const FRAME_BYTES: usize = 64;

impl Book<'_> {
    /// Returns the bytes of the stacks and the live blocks.
    fn memory(&self) -> usize {
        self.stack_bytes + self.live.len() * 40
    }

    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        let (sign, kind) = match &event.kind {
            Kind::Alloc(alloc) => {
                let kind = self.kind(alloc.stack.codes(), alloc.samples)?;
                self.live.insert(alloc.id, kind);
                ('+', kind)
            }
            Kind::Collect(id) => match self.live.remove(id) {
                Some(kind) => ('-', kind),
                None => return Ok(()),
            },
            Kind::Location(_) | Kind::Promote(_) => return Ok(()),
        };
        let millis = event.since_start / 1_000;
        if millis != self.millis {
            writeln!(self.out, "c {millis:x}")?;
            self.millis = millis;
        }
        writeln!(self.out, "{sign} {kind:x}")
    }

    fn text(&mut self, text: &str) -> io::Result<u64> {
        let text = line(text);
        let (number, is_new) = self.texts.of(text.clone());
        if is_new {
            writeln!(self.out, "s {text}")?;
        }
        Ok(number + 1)
    }

    fn code(&mut self, code: u64) -> io::Result<u64> {
        let (number, is_new) = self.codes.of(code);
        if is_new {
            let mut text = format!("i {code:x} {:x}", self.module);
            for place in self.named.names.innermost_first(code) {
                let function = self.text(&place.function)?;
                let file = match &*place.file {
                    "" | "-" => 0,
                    file => self.text(file)?,
                };
                text += &format!(" {function:x} {file:x} {:x}", place.line);
            }
            writeln!(self.out, "{text}")?;
        }
        Ok(number + 1)
    }

    /// Returns the number of a kind of allocation: a stack and a size.
    fn kind(&mut self, codes: &[u64], hits: u64) -> io::Result<u64> {
        let stack = match self.stacks.get(codes) {
            Some(&known) => known,
            None => self.stack(codes)?,
        };
        let bytes = self.named.bytes(hits);
        let (number, is_new) = self.kinds.of((stack, bytes));
        if is_new {
            writeln!(self.out, "a {bytes:x} {stack:x}")?;
        }
        Ok(number)
    }

    /// Returns the number of a stack's innermost node. `codes` begins with the outermost.
    fn stack(&mut self, codes: &[u64]) -> io::Result<u64> {
        let names = &self.named.names;
        let outside = codes.iter().rposition(|&code| !names.is_hook(code));
        let mut parent = 0;
        for &code in outside.map_or(codes, |last| &codes[..=last]) {
            let number = self.code(code)?;
            let (node, is_new) = self.nodes.of((parent, number));
            if is_new {
                writeln!(self.out, "t {number:x} {parent:x}")?;
            }
            parent = node + 1;
        }
        self.stack_bytes += STACK_BYTES + codes.len() * FRAME_BYTES;
        self.stacks.insert(codes.into(), parent);
        Ok(parent)
    }
}

/// Returns a text without line ends and other control characters.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
