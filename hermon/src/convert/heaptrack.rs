//! What heaptrack's interpreter writes, file version 2 (heaptrack 1.4): a line per thing, numbers in hexadecimal.
//!
//! ```text
//! v VERSION FILEVERSION    x EXECUTABLE    X COMMAND    I PAGESIZE PAGES
//! s TEXT                                   texts count from 1
//! i CODE MODULE [FUNCTION FILE LINE]…      code addresses count from 1; the innermost inlined function first
//! t I PARENT                               stacks count from 1; 0: no parent, the outermost frame
//! a SIZE T                                 kinds of allocations count from 0
//! c MILLISECONDS   + A   - A               what happens
//! ```
//!
//! heaptrack counts calls; here a call is a sampled block, and its size is all the bytes that its hits stand for. So bytes are
//! estimates as everywhere else, and numbers of calls are those of samples.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use memtrace_reader::Kind;

use super::frames::Sheet;
use crate::report::StackId;
use crate::trace::events::Trace;

/// heaptrack 1.4.0, whose file versions up to 3 this is one of.
const HEAPTRACK: u32 = 0x01_04_00;
const FILE: u32 = 2;

/// Writes the events of a trace, which is read again.
pub fn write(sheet: &Sheet<'_>, trace: impl Read, out: &mut dyn Write) -> io::Result<()> {
    let profile = &sheet.named.profile;
    let executable = line(&profile.info.executable.to_string());
    writeln!(
        out,
        "v {HEAPTRACK:x} {FILE:x}\nx {executable}\nX {} {executable}\nI 1000 0",
        line(&profile.info.host.to_string())
    )?;
    let mut book = Book::new(sheet, &executable, out)?;
    let trace = Trace::open(trace).map_err(|error| io::Error::other(error.to_string()))?;
    let mut failed = Ok(());
    let mut live: HashMap<u64, u64> = HashMap::new();
    let mut last = 0;
    trace.each(&mut |event| {
        if failed.is_err() {
            return;
        }
        let millis = event.since_start / 1_000;
        failed = (|| {
            let (sign, kind) = match &event.kind {
                Kind::Alloc(alloc) => {
                    let kind = book.kind(alloc.stack.codes(), alloc.samples, out)?;
                    live.insert(alloc.id, kind);
                    ('+', kind)
                }
                Kind::Collect(id) => match live.remove(id) {
                    Some(kind) => ('-', kind),
                    None => return Ok(()),
                },
                Kind::Location(_) | Kind::Promote(_) => return Ok(()),
            };
            if millis != last {
                writeln!(out, "c {millis:x}")?;
                last = millis;
            }
            writeln!(out, "{sign} {kind:x}")
        })();
    })?;
    failed
}

/// What the file has numbers for.
struct Book<'s> {
    sheet: &'s Sheet<'s>,
    module: u64,
    texts: HashMap<String, u64>,
    codes: HashMap<u64, u64>,
    /// Nodes by parent and code, and how many there are.
    nodes: HashMap<(u64, u64), u64>,
    stacks: HashMap<StackId, u64>,
    kinds: HashMap<(u64, u64), u64>,
    tree: crate::report::Tree,
}

impl<'s> Book<'s> {
    fn new(sheet: &'s Sheet<'s>, executable: &str, out: &mut dyn Write) -> io::Result<Self> {
        let mut book = Self {
            sheet,
            module: 0,
            texts: HashMap::new(),
            codes: HashMap::new(),
            nodes: HashMap::new(),
            stacks: HashMap::new(),
            kinds: HashMap::new(),
            tree: crate::report::Tree::default(),
        };
        book.module = book.text(executable, out)?;
        Ok(book)
    }

    fn text(&mut self, text: &str, out: &mut dyn Write) -> io::Result<u64> {
        let text = line(text);
        let next = self.texts.len() as u64 + 1;
        if let Some(&known) = self.texts.get(&text) {
            return Ok(known);
        }
        writeln!(out, "s {text}")?;
        self.texts.insert(text, next);
        Ok(next)
    }

    fn code(&mut self, code: u64, out: &mut dyn Write) -> io::Result<u64> {
        if let Some(&known) = self.codes.get(&code) {
            return Ok(known);
        }
        let sheet = self.sheet;
        let mut text = format!("i {code:x} {:x}", self.module);
        for place in sheet.named.names.innermost_first(code) {
            let function = self.text(&place.function, out)?;
            let file = match &*place.file {
                "" | "-" => 0,
                file => self.text(file, out)?,
            };
            text += &format!(" {function:x} {file:x} {:x}", place.line);
        }
        writeln!(out, "{text}")?;
        let next = self.codes.len() as u64 + 1;
        self.codes.insert(code, next);
        Ok(next)
    }

    /// The number of a kind of allocation: a stack and a size.
    fn kind(&mut self, codes: &[u64], hits: u64, out: &mut dyn Write) -> io::Result<u64> {
        let id = self.tree.intern(codes);
        let stack = match self.stacks.get(&id) {
            Some(&known) => known,
            None => {
                let stack = self.stack(codes, out)?;
                self.stacks.insert(id, stack);
                stack
            }
        };
        let next = self.kinds.len() as u64;
        let bytes = self.sheet.bytes(hits);
        if let Some(&known) = self.kinds.get(&(stack, bytes)) {
            return Ok(known);
        }
        writeln!(out, "a {bytes:x} {stack:x}")?;
        self.kinds.insert((stack, bytes), next);
        Ok(next)
    }

    fn stack(&mut self, codes: &[u64], out: &mut dyn Write) -> io::Result<u64> {
        let names = &self.sheet.named.names;
        let outside = codes.iter().rposition(|&code| !names.is_hook(code));
        let codes = outside.map_or(codes, |last| &codes[..=last]);
        let mut parent = 0;
        for &code in codes {
            let number = self.code(code, out)?;
            let next = self.nodes.len() as u64 + 1;
            let node = *self.nodes.entry((parent, number)).or_insert(next);
            if node == next {
                writeln!(out, "t {number:x} {parent:x}")?;
            }
            parent = node;
        }
        Ok(parent)
    }
}

/// A text as one line of its own.
fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
