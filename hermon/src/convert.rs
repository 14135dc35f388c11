//! `hermon convert`: converts a heap trace for other tools.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use hermon_heap::convert::{self, Format, Value};
use hermon_heap::events::End;
use hermon_heap::named::{self, Named};
use hermon_heap::profile::Settings;

use crate::exit::{self, Exit, Failure};
use crate::report::{self, NameOptions};

/// Options of `hermon convert`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The trace
    file: PathBuf,
    /// The format to convert it to
    #[arg(long, value_enum)]
    to: Format,
    /// The file to write; standard output if it is not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The bytes to show, for folded and flamegraph
    #[arg(long, value_enum, default_value = "allocated")]
    value: Value,
    #[command(flatten)]
    names: NameOptions,
}

/// Runs `hermon convert`.
pub(crate) fn convert(options: &Options) -> Result<Exit, Failure> {
    let is_binary = matches!(options.to, Format::Pprof | Format::Memtrace);
    if is_binary && options.output.is_none() && io::stdout().is_terminal() {
        let line = "this format is not text for a terminal: give -o FILE, or use a pipe";
        return Err(Failure::Line(Exit::Arguments, line.to_owned()));
    }
    let Options { file, value, .. } = options;
    let elf = options.names.elf.as_deref();
    for input in [Some(file.as_path()), elf].into_iter().flatten() {
        if let Some(output) = &options.output
            && is_same(input, output)
        {
            let (input, output) = (input.display(), output.display());
            let line =
                format!("{output} is the input {input}, which would be lost: name another output");
            return Err(Failure::Line(Exit::Arguments, line));
        }
    }
    let settings = Settings::new(options.names.temporary, None).within(options.names.memory());
    let named = Named::read_with_peak(file, elf, settings)?;
    report::remark(file, elf, &named);
    let trace = file.display();
    if options.to == Format::Flamegraph && value.sum(&named) == 0 {
        let line = format!("{trace} has no {value}: there is nothing to draw");
        return Err(Failure::machine(line));
    }
    // A trace that cannot be read a second time is found before the output is created.
    let again = named::open(file)?;
    write(options, |out| {
        convert::write(options.to, *value, &named, again, out)
    })?;
    Ok(match &named.profile.span.end {
        End::Whole => Exit::Success,
        End::Cut(bytes) => {
            exit::say(format_args!(
                "{trace}: the end is cut, {bytes} bytes are left out"
            ));
            Exit::Success
        }
        End::Bad(error) => {
            exit::say(format_args!(
                "{trace}: {error}: the output ends before this fault"
            ));
            Exit::Guest
        }
    })
}

/// Returns `true` if both names are of one existing file that holds its content, not of a device.
fn is_same(one: &Path, other: &Path) -> bool {
    let file = |path: &Path| {
        let known = fs::metadata(path).ok().filter(fs::Metadata::is_file);
        known.map(|known| (known.dev(), known.ino()))
    };
    file(one).is_some_and(|one| file(other) == Some(one))
}

fn write(
    options: &Options,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    let (name, out): (_, io::Result<Box<dyn Write>>) = match &options.output {
        Some(path) => {
            let file = File::create(path);
            (
                path.display().to_string(),
                file.map(|file| Box::new(file) as _),
            )
        }
        None => (
            "standard output".to_owned(),
            Ok(Box::new(io::stdout().lock())),
        ),
    };
    let written = out.map(BufWriter::new).and_then(|mut out| {
        content(&mut out)?;
        out.flush()
    });
    written.map_err(Failure::system(format_args!("cannot write {name}")))
}
