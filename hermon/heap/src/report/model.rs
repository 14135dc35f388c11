//! A report as a value. It is printed as text, and with `--json` written as it is, so both show the same numbers.

use serde::Serialize;

use super::sites::{self, Site};
use crate::estimate::{Estimate, Scale};
use crate::events::End;
use crate::named::Named;
use crate::names::Place;
use crate::profile::{Profile, Settings, Tally};
use crate::weight::Weight;

/// The name of this shape. The number behind the stroke changes when a field is removed or changes its meaning; fields
/// may be added under the same number.
pub const SCHEMA: &str = "hermon-report/1";

/// An amount of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Amount {
    /// The bytes and their 95 % confidence interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The number of words that were sampled.
    pub hits: u64,
    /// The number of blocks that were sampled.
    pub samples: u64,
    /// The estimated number of blocks for which these stand.
    pub blocks: f64,
}

impl Amount {
    fn of(weight: Weight, scale: &Scale) -> Self {
        Self {
            estimate: scale.bytes(weight.hits),
            hits: weight.hits,
            samples: weight.samples,
            blocks: weight.blocks(),
        }
    }
}

/// A trace's own description, and the part of it that was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Header {
    /// The machine's name.
    pub host: String,
    /// The program.
    pub executable: String,
    /// More about the program.
    pub context: String,
    /// A number that differs from boot to boot.
    pub pid: u64,
    /// The time of the trace's beginning, in microseconds since 1970.
    pub start_unix_micros: u64,
    /// The length of the trace, in microseconds.
    pub micros: u64,
    /// The probability that a word was sampled.
    pub rate: f64,
    /// The bytes of a word.
    pub word_bytes: u64,
    /// The bytes of the trace, as far as it was read.
    pub trace_bytes: u64,
    /// The number of alloc events.
    pub allocs: u64,
    /// The number of collect events.
    pub collects: u64,
    /// The reason why the trace was not read to its last byte.
    pub not_read: Option<String>,
}

/// Sums over the whole trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// All allocations, the lost included.
    pub allocated: Amount,
    /// The allocations of which only the amount is known: not the place, and not when they were freed.
    pub lost: Amount,
    /// The blocks alive at the end.
    pub live: Amount,
    /// The most that was alive at one time.
    pub peak: Amount,
    /// The time of that, in microseconds since the trace began.
    pub peak_micros: u64,
    /// The temporary blocks.
    pub temporary: Amount,
}

/// The growth and the window in which it was counted, in microseconds since the trace began.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Growth {
    /// The beginning of the window.
    pub from_micros: u64,
    /// The end of the window.
    pub to_micros: u64,
    /// The bytes alive at the end and not at the beginning, minus the bytes that were freed in the window.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// An allocation site.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteRow {
    /// The function.
    pub function: String,
    /// The file, empty if it is not known.
    pub file: String,
    /// The line, 0 if it is not known.
    pub line: u32,
    /// All allocations.
    pub allocated: Amount,
    /// The blocks alive at the end.
    pub live: Amount,
    /// The temporary blocks.
    pub temporary: Amount,
    /// The growth between the two points.
    pub growth: Option<Estimate>,
    /// The mean lifetime of its blocks that were freed, in microseconds.
    pub mean_lifetime_micros: Option<f64>,
    /// Its callers along the way that most of the bytes of this list came, the innermost first, without those that only
    /// pass a call on.
    pub callers: Vec<String>,
}

/// A function with all allocations that were made while it ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionRow {
    /// The function.
    pub function: String,
    /// The file, empty if it is not known.
    pub file: String,
    /// All allocations.
    pub allocated: Amount,
    /// Those alive at the end.
    pub live: Amount,
}

/// A class of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SizeRow {
    /// The largest size in the class, in bytes. The smallest is more than half of it.
    pub most_bytes: u64,
    /// All allocations of such sizes.
    pub allocated: Amount,
}

/// A class of lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LifetimeRow {
    /// The end of the class, in microseconds; `None` for lifetimes longer than all classes, and for blocks alive at the
    /// end.
    pub below_micros: Option<u64>,
    /// `true` for the blocks alive at the end.
    pub alive: bool,
    /// All allocations with such lifetimes.
    pub allocated: Amount,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The trace.
    pub trace: Header,
    /// The meaning of temporary in this report.
    pub temporary: String,
    /// The sums.
    pub totals: Totals,
    /// The growth, if two points were given.
    pub growth: Option<Growth>,
    /// The sites that allocated most.
    pub by_allocated: Vec<SiteRow>,
    /// The sites with most bytes alive at the end.
    pub by_live: Vec<SiteRow>,
    /// The sites that grew most between the two points.
    pub by_growth: Vec<SiteRow>,
    /// The sites with most temporary bytes.
    pub by_temporary: Vec<SiteRow>,
    /// The functions, by the allocations made while they ran; recursion counts once.
    pub functions: Vec<FunctionRow>,
    /// The distribution of sizes.
    pub sizes: Vec<SizeRow>,
    /// The distribution of lifetimes.
    pub lifetimes: Vec<LifetimeRow>,
}

/// The number of callers that are shown for a site.
const CALLERS: usize = 4;

impl Report {
    /// Creates the report on a profile, with the first `top` sites of each list.
    pub fn new(named: &Named, settings: &Settings, all_frames: bool, top: usize) -> Self {
        let profile = &named.profile;
        let scale = profile.scale();
        let amount = |weight| Amount::of(weight, &scale);
        let (known, lost) = profile.totals();
        let sites = sites::sites(named, all_frames);
        let list = |key: &dyn Fn(&Tally) -> f64| {
            let mut chosen: Vec<&Site<'_>> =
                sites.iter().filter(|site| key(&site.tally) > 0.0).collect();
            chosen.sort_by(|a, b| key(&b.tally).total_cmp(&key(&a.tally)));
            let rows = chosen.into_iter().take(top);
            rows.map(|site| row(site, named, &scale, settings, all_frames, key))
                .collect()
        };
        let growth = |tally: &Tally| growth(tally, &scale);
        let mut functions = sites::functions(named, all_frames);
        functions.sort_by_key(|function| core::cmp::Reverse(function.tally.allocated.hits));
        let live = core::iter::once(LifetimeRow {
            below_micros: None,
            alive: true,
            allocated: amount(known.live),
        });
        Self {
            schema: SCHEMA,
            trace: header(profile),
            temporary: settings.temporary.to_string(),
            totals: Totals {
                allocated: amount(known.allocated + lost.allocated),
                lost: amount(lost.allocated),
                live: amount(known.live),
                peak: amount(profile.peak.weight),
                peak_micros: profile.peak.micros,
                temporary: amount(known.temporary),
            },
            growth: settings.window.map(|(from, to)| Growth {
                from_micros: from,
                to_micros: to.min(profile.span.micros),
                estimate: growth(&known),
            }),
            by_allocated: list(&|tally| tally.allocated.hits as f64),
            by_live: list(&|tally| tally.live.hits as f64),
            by_growth: match settings.window {
                Some(_) => list(&|tally| growth(tally).bytes),
                None => Vec::new(),
            },
            by_temporary: list(&|tally| tally.temporary.hits as f64),
            functions: functions
                .iter()
                .take(top)
                .map(|function| FunctionRow {
                    function: function.name.to_string(),
                    file: function.file.to_string(),
                    allocated: amount(function.tally.allocated),
                    live: amount(function.tally.live),
                })
                .collect(),
            sizes: profile
                .sizes
                .classes()
                .map(|(words, weight)| SizeRow {
                    most_bytes: words * profile.info.word_bytes,
                    allocated: amount(weight),
                })
                .collect(),
            lifetimes: profile
                .lifetimes
                .classes()
                .map(|(below_micros, weight)| LifetimeRow {
                    below_micros,
                    alive: false,
                    allocated: amount(weight),
                })
                .chain(live.filter(|row| row.allocated.samples > 0))
                .collect(),
        }
    }
}

fn growth(tally: &Tally, scale: &Scale) -> Estimate {
    scale.bytes(tally.come()).minus(scale.bytes(tally.gone))
}

fn header(profile: &Profile) -> Header {
    let info = &profile.info;
    Header {
        host: info.host.to_string(),
        executable: info.executable.to_string(),
        context: info.context.to_string(),
        pid: info.pid,
        start_unix_micros: info.start,
        micros: profile.span.micros,
        rate: info.rate,
        word_bytes: info.word_bytes,
        trace_bytes: profile.span.bytes,
        allocs: profile.allocs,
        collects: profile.collects,
        not_read: match &profile.span.end {
            End::Whole => None,
            End::Cut(bytes) => Some(format!(
                "the end is cut: {bytes} bytes of a packet that is not whole are left out"
            )),
            End::Bad(error) => Some(format!(
                "{error}: nothing from that packet's fault on was read"
            )),
        },
    }
}

fn row(
    site: &Site<'_>,
    named: &Named,
    scale: &Scale,
    settings: &Settings,
    all_frames: bool,
    key: &dyn Fn(&Tally) -> f64,
) -> SiteRow {
    let Tally {
        allocated,
        live,
        temporary,
        lifetimes,
        ..
    } = site.tally;
    let freed = allocated.samples - live.samples;
    let heaviest = site
        .stacks
        .iter()
        .max_by(|(_, a), (_, b)| key(a).total_cmp(&key(b)));
    let callers = heaviest.map_or_else(Vec::new, |(stack, _)| {
        let depth = sites::depth_of_site(named, *stack, all_frames);
        let places = named.places(*stack).skip(depth + 1);
        let callers = places
            .map(|(_, place)| place)
            .filter(|place| all_frames || !place.is_plumbing());
        callers.take(CALLERS).map(ToString::to_string).collect()
    });
    let Place {
        function,
        file,
        line,
    } = site.place;
    SiteRow {
        function: function.to_string(),
        file: file.to_string(),
        line: *line,
        allocated: Amount::of(allocated, scale),
        live: Amount::of(live, scale),
        temporary: Amount::of(temporary, scale),
        growth: settings.window.map(|_| growth(&site.tally, scale)),
        mean_lifetime_micros: (freed > 0 && !site.tally.is_lost)
            .then(|| lifetimes as f64 / freed as f64),
        callers,
    }
}
