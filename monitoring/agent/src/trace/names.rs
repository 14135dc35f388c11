//! Names for a trace: what the image's symbol table says of a return address.

use memtrace_writer::{Location, Resolve};
use symbol_table::{Scratch, Symbols};

/// The image's own names, if it has a table of them.
pub struct Names<'t> {
    symbols: Option<&'t Symbols<'t>>,
    scratch: Scratch,
    /// The code whose frames the scratch has.
    code: Option<u64>,
}

impl<'t> Names<'t> {
    /// With the table of the image; without one, addresses stay numbers.
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
            // A return address is behind the call.
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
