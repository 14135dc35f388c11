//! The heap profile as text: the reply to the control port's `H`, and a panic's report.

use core::fmt::{self, Write};

use super::live::LiveSites;
use heap_profiler::{Lost, Rate};
use memtrace_writer::{Location, Resolve};

/// Bytes of a word.
const WORD_BYTES: f64 = 8.0;

/// Folders of functions that only pass an allocation on; its origin is a caller further out. A package's folder has its
/// version.
const PLUMBING: [&str; 6] = [
    "alloc/",
    "core/",
    "std/",
    "hashbrown-",
    "monitoring/heap-profiler/src/",
    "library/",
];

/// Returns `true` if a function only passes an allocation on. Such a function is in one of those folders, has a name
/// that the compiler gives to the global allocator's functions (`__rustc::__rust_alloc`; their file is the
/// application's), or belongs to no file.
fn is_plumbing(location: &Location<'_>) -> bool {
    let of = |folder: &&str| location.file.starts_with(*folder);
    location.file.is_empty() || location.function.starts_with("__rust") || PLUMBING.iter().any(of)
}

/// The number of stacks that a list of places looks at: those with the most alive. Many stacks often lead to one place.
const STACKS: usize = 64;

/// A place where the program asks for memory, and the blocks from it that are alive.
#[derive(Clone, Copy, Default)]
struct Place {
    asker: Option<Asker>,
    blocks: u64,
    hits: u64,
}

/// A function at a line.
#[derive(Clone, Copy)]
struct Asker {
    /// The return address, and the index of its frame, outermost first. The index is `None` without a name.
    code: u32,
    frame: Option<usize>,
    /// A hash of function, file and line.
    identity: u64,
}

/// Writes one line: the estimated memory alive, the losses, and the `count` places with the most alive. A place is the
/// innermost function and line outside the standard library. Stacks with the same place are added up.
///
/// # Errors
/// Those of `out`.
///
/// Cost: a pass over all sites for each of 64 stacks, and the look-up of their names: some 2 ms under TCG.
pub fn write_top(
    out: &mut dyn Write,
    live: &LiveSites,
    lost: &Lost,
    rate: Rate,
    names: &mut dyn Resolve,
    count: usize,
) -> fmt::Result {
    let bytes = |hits: u64| Amount(hits as f64 / rate.get() * WORD_BYTES);
    let hits = live.hits();
    let rate = rate.get();
    let Lost {
        ring_full,
        live_full,
        ..
    } = lost;
    let blocks = ring_full + live_full;
    let more = if blocks > 0 { " or more" } else { "" };
    write!(
        out,
        "live {}{more} by {hits} hits at rate {rate:e}",
        bytes(hits)
    )?;
    if blocks > 0 {
        let bytes = bytes(lost.hits);
        write!(
            out,
            ", not recorded since boot, alive or not: {bytes} in {blocks} blocks (ring full {ring_full}, too many alive {live_full})"
        )?;
    }
    if live.is_behind() {
        out.write_str(", behind by what the trace's client has yet to read")?;
    }
    let (mut places, mut known) = ([Place::default(); STACKS], 0);
    live.top(STACKS, &mut |site| {
        let asker = asker(site.stack, names);
        let identity = |asker: Option<Asker>| asker.map(|asker| asker.identity);
        let same = |place: &Place| identity(place.asker) == identity(asker);
        let at = places[..known].iter().position(same).unwrap_or(known);
        places[at].asker = asker;
        places[at].blocks += site.blocks;
        places[at].hits += site.hits;
        known = known.max(at + 1);
    });
    let places = &mut places[..known];
    places.sort_unstable_by_key(|place| core::cmp::Reverse(place.hits));
    for place in places.iter().take(count) {
        write!(out, "; {} in {} blocks: ", bytes(place.hits), place.blocks)?;
        write_asker(out, place.asker, names)?;
    }
    Ok(())
}

/// Writes the last samples, newest first, one line each.
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

/// Writes the place that asked for an allocation: function, file and line.
///
/// # Errors
/// Those of `out`.
pub fn write_site(out: &mut dyn Write, stack: &[u32], names: &mut dyn Resolve) -> fmt::Result {
    let asker = asker(stack, names);
    write_asker(out, asker, names)
}

/// Returns the place that asked for an allocation; `None` for a stack without frames.
fn asker(stack: &[u32], names: &mut dyn Resolve) -> Option<Asker> {
    for &code in stack {
        // Frames come outermost first, so the innermost one that counts is found last.
        let (mut found, mut index) = (None, 0);
        while let Some(location) = names.location(code.into(), index) {
            if !is_plumbing(&location) {
                found = Some(Asker {
                    code,
                    frame: Some(index),
                    identity: identity(&location),
                });
            }
            index += 1;
        }
        if found.is_some() {
            return found;
        }
    }
    stack.first().map(|&code| Asker {
        code,
        frame: None,
        identity: code.into(),
    })
}

/// Returns the number of functions that a return address is in.
fn frames(code: u64, names: &mut dyn Resolve) -> usize {
    (0..)
        .take_while(|index| names.location(code, *index).is_some())
        .count()
}

/// Computes FNV-1a (Fowler, Noll, Vo; the constants of 64 bits). Equal hashes do not prove equality, but 64 places do
/// not collide by chance.
fn identity(location: &Location<'_>) -> u64 {
    let line = location.line.to_le_bytes();
    let texts = [location.function.as_bytes(), location.file.as_bytes()];
    let bytes = texts.into_iter().flatten().chain(&line);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn write_asker(out: &mut dyn Write, asker: Option<Asker>, names: &mut dyn Resolve) -> fmt::Result {
    let Some(Asker { code, frame, .. }) = asker else {
        return out.write_str("[other sites]");
    };
    match frame.and_then(|frame| names.location(code.into(), frame)) {
        Some(location) => write_location(out, &location),
        None => write!(out, "{code:#x}"),
    }
}

/// Writes a function and the known part of its place: code may not belong to a line of its file.
fn write_location(out: &mut dyn Write, location: &Location<'_>) -> fmt::Result {
    out.write_str(location.function)?;
    match (location.file, location.line) {
        ("", _) => Ok(()),
        (file, 0) => write!(out, " {file}"),
        (file, line) => write!(out, " {file}:{line}"),
    }
}

/// Writes the functions of a backtrace, one line each, innermost first. An address without a name writes nothing.
///
/// # Errors
/// Those of `out`.
pub fn write_backtrace(
    out: &mut dyn Write,
    addresses: &[usize],
    names: &mut dyn Resolve,
) -> fmt::Result {
    for &address in addresses {
        // From the innermost inlined function outwards.
        for index in (0..frames(address as u64, names)).rev() {
            if let Some(location) = names.location(address as u64, index) {
                write!(out, "  {address:#x} ")?;
                write_location(out, &location)?;
                out.write_char('\n')?;
            }
        }
    }
    Ok(())
}

/// A number of bytes for people: at least three digits and a binary unit.
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
    use heap_profiler::Record;

    struct Names;

    impl Resolve for Names {
        fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
            let &(function, file, line) = frames(code).get(index)?;
            Some(Location {
                function,
                file,
                line,
                ..Location::default()
            })
        }
    }

    fn frames(code: u64) -> &'static [(&'static str, &'static str, u32)] {
        match code {
            1 => &[("alloc::raw_vec::grow", "alloc/src/raw_vec.rs", 9)],
            2 => &[
                ("app::leak", "app/src/leak.rs", 30),
                ("push", "alloc/src/vec/mod.rs", 7),
            ],
            3 => &[("app::main", "app/src/main.rs", 3)],
            // As the compiler names the global allocator, and code without a file or a line.
            4 => &[
                ("__rustc::__rust_alloc", "app/src/main.rs", 1),
                ("alloc", "monitoring/heap-profiler/src/profiled.rs", 9),
            ],
            5 => &[("memcpy", "", 0)],
            6 => &[
                ("app::leak", "app/src/leak.rs", 30),
                ("__rustc::__rust_alloc", "app/src/main.rs", 1),
            ],
            7 => &[
                ("app::image::main", "app/src/image.rs", 0),
                ("core::fmt::write", "core/src/fmt/mod.rs", 0),
            ],
            _ => &[],
        }
    }

    fn text(write: impl FnOnce(&mut String) -> fmt::Result) -> String {
        let mut text = String::new();
        write(&mut text).expect("a string takes all");
        text
    }

    #[test]
    fn a_site_is_told_by_who_asked_not_by_the_standard_library() {
        let site = |stack: &[u32]| text(|out| write_site(out, stack, &mut Names));
        assert_eq!(site(&[1, 2, 3]), "app::leak app/src/leak.rs:30");
        assert_eq!(site(&[1, 99, 3]), "app::main app/src/main.rs:3");
        assert_eq!(site(&[4, 5, 1, 2, 3]), "app::leak app/src/leak.rs:30");
        assert_eq!(site(&[6, 3]), "app::leak app/src/leak.rs:30");
        assert_eq!(site(&[7, 3]), "app::image::main app/src/image.rs");
        assert_eq!(site(&[1, 99]), "0x1");
        assert_eq!(site(&[]), "[other sites]");
    }

    fn live(samples: &[(u64, &[usize])]) -> LiveSites {
        let mut live = LiveSites::new(8).expect("memory");
        for (slot, &(hits, stack)) in samples.iter().enumerate() {
            live.follow(&Record::Alloc {
                ticks: 5,
                slot: slot as u32,
                words: 10,
                hits,
                stack,
                truncated: false,
            });
        }
        live
    }

    fn top(live: &LiveSites, lost: Lost, count: usize) -> String {
        let rate = Rate::new(1e-3).expect("a rate");
        text(|out| write_top(out, live, &lost, rate, &mut Names, count))
    }

    #[test]
    fn one_place_is_one_entry_however_it_is_reached() {
        // Of 60, 50 and 40 hits: alone each is less than what is asked for in `main`.
        let live = live(&[
            (60, &[1, 2]),
            (100, &[3]),
            (50, &[4, 2, 3]),
            (40, &[2, 99]),
            (7, &[]),
        ]);
        assert_eq!(
            top(&live, Lost::default(), 9),
            "live 2.0 MiB by 257 hits at rate 1e-3; 1.1 MiB in 3 blocks: app::leak app/src/leak.rs:30; \
             781 KiB in 1 blocks: app::main app/src/main.rs:3; 54.7 KiB in 1 blocks: [other sites]"
        );
        assert!(top(&live, Lost::default(), 1).ends_with("leak.rs:30"));
    }

    #[test]
    fn what_could_not_be_recorded_is_told() {
        let lost = Lost {
            ring_full: 3,
            live_full: 4,
            words: 900,
            hits: 140,
        };
        assert_eq!(
            top(&live(&[(2, &[3])]), lost, 1),
            "live 15.6 KiB or more by 2 hits at rate 1e-3, not recorded since boot, alive or not: 1.1 MiB in 7 blocks (ring full 3, too many alive 4); \
             15.6 KiB in 1 blocks: app::main app/src/main.rs:3"
        );
    }

    #[test]
    fn that_it_could_not_be_followed_is_told() {
        let mut live = live(&[(2, &[3])]);
        live.set_behind(true);
        assert_eq!(
            top(&live, Lost::default(), 0),
            "live 15.6 KiB by 2 hits at rate 1e-3, behind by what the trace's client has yet to read"
        );
    }

    #[test]
    fn the_last_samples_are_a_line_each() {
        let live = live(&[(140, &[1, 2]), (2, &[3])]);
        assert_eq!(
            text(|out| write_last(out, &live, &mut Names)),
            "  at 5 us: 80 bytes: app::main app/src/main.rs:3\n  at 5 us: 80 bytes: app::leak app/src/leak.rs:30\n"
        );
    }

    #[test]
    fn a_backtrace_names_inlined_functions_from_the_inside_out() {
        assert_eq!(
            text(|out| write_backtrace(out, &[2, 99, 3], &mut Names)),
            "  0x2 push alloc/src/vec/mod.rs:7\n  0x2 app::leak app/src/leak.rs:30\n  0x3 app::main app/src/main.rs:3\n"
        );
    }

    #[test]
    fn a_backtrace_says_no_more_of_a_place_than_is_known() {
        assert_eq!(
            text(|out| write_backtrace(out, &[7, 5], &mut Names)),
            "  0x7 core::fmt::write core/src/fmt/mod.rs\n  0x7 app::image::main app/src/image.rs\n  0x5 memcpy\n"
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
