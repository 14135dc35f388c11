//! The heap profile as text: the control port's `H`, and what a panic prints.

use core::fmt::{self, Write};

use super::LiveSites;
use crate::heap::Rate;
use crate::memtrace::{Location, Resolve};

/// Bytes of a word.
const WORD_BYTES: f64 = 8.0;

/// Where the files are whose functions only pass an allocation on: who asked for it stands further out.
const PLUMBING: [&str; 6] = [
    "alloc/",
    "core/",
    "std/",
    "hashbrown/",
    "monitoring/src/heap/",
    "library/",
];

/// What is alive by estimate, and the `count` sites with the most of it, in one line. Each site is told by the innermost function that is not of
/// the standard library's.
///
/// # Errors
/// Those of `out`.
pub fn write_top(
    out: &mut dyn Write,
    live: &LiveSites,
    rate: Rate,
    names: &mut dyn Resolve,
    count: usize,
) -> fmt::Result {
    let bytes = |hits: u64| hits as f64 / rate.get() * WORD_BYTES;
    write!(
        out,
        "live {} by {} hits at rate {:e}",
        Amount(bytes(live.hits())),
        live.hits(),
        rate.get()
    )?;
    let mut result = Ok(());
    live.top(count, &mut |site| {
        if result.is_err() {
            return;
        }
        result = write!(
            out,
            "; {} in {} blocks: ",
            Amount(bytes(site.hits)),
            site.blocks
        )
        .and_then(|()| write_site(out, site.stack, names));
    });
    result
}

/// The last samples, newest first, a line each.
///
/// # Errors
/// Those of `out`.
pub fn write_last(out: &mut dyn Write, live: &LiveSites, names: &mut dyn Resolve) -> fmt::Result {
    for (last, stack) in live.last() {
        let bytes = last.words.saturating_mul(8);
        write!(out, "  at {} us: {bytes} bytes: ", last.at.0)?;
        write_site(out, stack, names)?;
        out.write_char('\n')?;
    }
    Ok(())
}

/// Who asked for an allocation: function, file and line.
///
/// # Errors
/// Those of `out`.
pub fn write_site(out: &mut dyn Write, stack: &[u32], names: &mut dyn Resolve) -> fmt::Result {
    for &code in stack {
        // The frames come outermost first; the innermost that counts is only known at the end.
        let (mut frame, mut chosen) = (0, None);
        names.resolve(code.into(), &mut |location| {
            if !PLUMBING
                .iter()
                .any(|folder| location.file.starts_with(folder))
            {
                chosen = Some(frame);
            }
            frame += 1;
        });
        if let Some(chosen) = chosen {
            return write_frame(out, code, chosen, names);
        }
    }
    match stack.first() {
        Some(code) => write!(out, "{code:#x}"),
        None => out.write_str("[other sites]"),
    }
}

fn write_frame(
    out: &mut dyn Write,
    code: u32,
    chosen: usize,
    names: &mut dyn Resolve,
) -> fmt::Result {
    let (mut frame, mut result) = (0, Ok(()));
    names.resolve(code.into(), &mut |Location {
                                         function,
                                         file,
                                         line,
                                         ..
                                     }| {
        if frame == chosen {
            result = if function.is_empty() {
                write!(out, "{code:#x}")
            } else {
                write!(out, "{function} {file}:{line}")
            };
        }
        frame += 1;
    });
    result
}

/// The functions of a backtrace, a line each, innermost first; nothing for an address without a name.
///
/// # Errors
/// Those of `out`.
pub fn write_backtrace(
    out: &mut dyn Write,
    addresses: &[usize],
    names: &mut dyn Resolve,
) -> fmt::Result {
    for &address in addresses {
        let mut frames = 0;
        names.resolve(address as u64, &mut |_| frames += 1);
        // From the innermost inlined one outwards.
        for wanted in (0..frames).rev() {
            let (mut frame, mut result) = (0, Ok(()));
            names.resolve(
                address as u64,
                &mut |Location {
                          function,
                          file,
                          line,
                          ..
                      }| {
                    if frame == wanted {
                        result = writeln!(out, "  {address:#x} {function} {file}:{line}");
                    }
                    frame += 1;
                },
            );
            result?;
        }
    }
    Ok(())
}

/// Bytes as a person reads them: three digits at least, and a binary unit.
struct Amount(f64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
        let (mut amount, mut unit) = (self.0, 0);
        while amount >= 1024.0 && unit + 1 < UNITS.len() {
            amount /= 1024.0;
            unit += 1;
        }
        let digits = if unit == 0 || amount >= 100.0 { 0 } else { 1 };
        write!(f, "{amount:.digits$} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::Record;

    fn names(code: u64, out: &mut dyn FnMut(Location<'_>)) {
        let frames: &[(&str, &str, u32)] = match code {
            1 => &[("alloc::raw_vec::grow", "alloc/src/raw_vec.rs", 9)],
            2 => &[
                ("app::leak", "app/src/leak.rs", 30),
                ("push", "alloc/src/vec/mod.rs", 7),
            ],
            3 => &[("app::main", "app/src/main.rs", 3)],
            _ => &[],
        };
        for &(function, file, line) in frames {
            out(Location {
                function,
                file,
                line,
                ..Location::default()
            });
        }
    }

    fn text(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
        let mut text = String::new();
        write(&mut text).expect("a string takes all");
        text
    }

    #[test]
    fn a_site_is_told_by_who_asked_not_by_the_standard_library() {
        let site = |stack: &[u32]| text(|out| write_site(out, stack, &mut names));
        assert_eq!(site(&[1, 2, 3]), "app::leak app/src/leak.rs:30");
        assert_eq!(site(&[1, 99, 3]), "app::main app/src/main.rs:3");
        assert_eq!(site(&[1, 99]), "0x1");
        assert_eq!(site(&[]), "[other sites]");
    }

    #[test]
    fn the_top_is_one_line() {
        let mut live = LiveSites::new(8).expect("memory");
        for (slot, hits, stack) in [(0, 140, &[1usize, 2][..]), (1, 2, &[3])] {
            live.follow(&Record::Alloc {
                ticks: 5,
                slot,
                words: 10,
                hits,
                stack,
                truncated: false,
            });
        }
        let rate = Rate::new(1e-3).expect("a rate");
        assert_eq!(
            text(|out| write_top(out, &live, rate, &mut names, 5)),
            "live 1.1 MiB by 142 hits at rate 1e-3; 1.1 MiB in 1 blocks: app::leak app/src/leak.rs:30; \
             15.6 KiB in 1 blocks: app::main app/src/main.rs:3"
        );
        assert_eq!(
            text(|out| write_last(out, &live, &mut names)),
            "  at 5 us: 80 bytes: app::main app/src/main.rs:3\n  at 5 us: 80 bytes: app::leak app/src/leak.rs:30\n"
        );
    }

    #[test]
    fn a_backtrace_names_inlined_functions_from_the_inside_out() {
        assert_eq!(
            text(|out| write_backtrace(out, &[2, 99, 3], &mut names)),
            "  0x2 push alloc/src/vec/mod.rs:7\n  0x2 app::leak app/src/leak.rs:30\n  0x3 app::main app/src/main.rs:3\n"
        );
    }

    #[test]
    fn amounts_have_units() {
        for (bytes, expected) in [
            (0.0, "0 B"),
            (1_023.0, "1023 B"),
            (1_536.0, "1.5 KiB"),
            (200.0 * 1_048_576.0, "200 MiB"),
            (1e15, "909 TiB"),
        ] {
            assert_eq!(Amount(bytes).to_string(), expected);
        }
    }
}
