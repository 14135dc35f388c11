//! Names for a trace: the functions and lines of a return address, from the image's symbol table.

use memtrace_writer::{Location, Resolve};
use symbol_table::{Scratch, Symbols};

/// The image's names, if it has a symbol table.
pub struct Names<'t> {
    symbols: Option<&'t Symbols<'t>>,
    scratch: Scratch,
    /// The address whose frames are in the scratch memory.
    code: Option<u64>,
}

impl<'t> Names<'t> {
    /// Creates names from the image's table. Without a table, addresses stay numbers.
    #[must_use]
    pub fn new(symbols: Option<&'t Symbols<'t>>) -> Self {
        Self {
            symbols,
            scratch: Scratch::new(),
            code: None,
        }
    }
}

impl Resolve for Names<'_> {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        let symbols = self.symbols?;
        if self.code != Some(code) {
            // A return address lies behind its call.
            symbols.look_up(code - 1, &mut self.scratch);
            self.code = Some(code);
        }
        let frame = symbols.frame(index, &mut self.scratch)?;
        Some(Location {
            function: frame.function,
            file: frame.file,
            line: frame.line,
            ..Location::default()
        })
    }
}
