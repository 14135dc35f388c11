//! Names for a trace: what the image's symbol table says of a return address.

use memtrace_writer::{Location, Resolve};
use symbol_table::{Scratch, Symbols};

/// The image's own names, if it has a table of them.
pub struct Names<'t> {
    symbols: Option<&'t Symbols<'t>>,
    scratch: Scratch,
}

impl<'t> Names<'t> {
    /// With the table of the image; without one, addresses stay numbers.
    #[must_use]
    pub fn new(symbols: Option<&'t Symbols<'t>>) -> Self {
        Self {
            symbols,
            scratch: Scratch::new(),
        }
    }
}

impl Resolve for Names<'_> {
    fn resolve(&mut self, code: u64, out: &mut dyn FnMut(Location<'_>)) {
        let Some(symbols) = self.symbols else {
            return;
        };
        // A return address is behind the call.
        symbols.frames(code - 1, &mut self.scratch, &mut |frame| {
            out(Location {
                function: frame.function,
                file: frame.file,
                line: frame.line,
                ..Location::default()
            });
        });
    }
}
