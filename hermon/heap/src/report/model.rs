//! A report as a value: what is printed, and with `--json` written as it is. Both show the same numbers.

use serde::Serialize;

use super::sites::{self, Site};
use crate::estimate::{Estimate, Scale};
use crate::events::End;
use crate::named::Named;
use crate::names::Place;
use crate::profile::{Profile, Settings, Tally};
use crate::weight::Weight;

/// Names this shape. A number behind the stroke changes when a field is taken away or means something else; fields may be
/// added under the same number.
pub const SCHEMA: &str = "hermon-report/1";

/// An amount of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Amount {
    /// Bytes and their 95 % confidence interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// Words that were sampled.
    pub hits: u64,
    /// Blocks that were sampled.
    pub samples: u64,
    /// The number of blocks that these stand for, estimated.
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

/// The trace's description of itself, and how far it could be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Header {
    /// The machine's name.
    pub host: String,
    /// The program.
    pub executable: String,
    /// More of it.
    pub context: String,
    /// Differs from boot to boot.
    pub pid: u64,
    /// When the trace began, in microseconds since 1970.
    pub start_unix_micros: u64,
    /// Its length.
    pub micros: u64,
    /// Probability that a word was sampled.
    pub rate: f64,
    /// Bytes of a word.
    pub word_bytes: u64,
    /// Bytes of the trace, as far as it was read.
    pub trace_bytes: u64,
    /// Alloc events.
    pub allocs: u64,
    /// Collect events.
    pub collects: u64,
    /// The reason why the trace was not read to its last byte.
    pub not_read: Option<String>,
}

/// Sums over the whole trace.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Totals {
    /// All that was allocated, the lost included.
    pub allocated: Amount,
    /// Blocks of which nothing is known but that they were allocated: not where, and not when they were freed.
    pub lost: Amount,
    /// The blocks that are alive at the end.
    pub live: Amount,
    /// The most that was alive at one time.
    pub peak: Amount,
    /// When that was, in microseconds since the trace began.
    pub peak_micros: u64,
    /// The blocks that were temporary.
    pub temporary: Amount,
}

/// Growth, and where it was counted, in microseconds since the trace began.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Growth {
    /// From here.
    pub from_micros: u64,
    /// To here.
    pub to_micros: u64,
    /// The bytes that are alive at its end and were not at its beginning, less those that were freed in it.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// A place that allocated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SiteRow {
    /// The function.
    pub function: String,
    /// The file, empty if it is not known.
    pub file: String,
    /// The line, 0 if it is not known.
    pub line: u32,
    /// All that was allocated.
    pub allocated: Amount,
    /// The blocks that are alive at the end.
    pub live: Amount,
    /// The blocks that were temporary.
    pub temporary: Amount,
    /// Growth between the two points.
    pub growth: Option<Estimate>,
    /// The mean lifetime of its blocks that were freed, in microseconds.
    pub mean_lifetime_micros: Option<f64>,
    /// Its callers on the way that most of the bytes of this list came, the innermost first, without those that only pass a call on.
    pub callers: Vec<String>,
}

/// A function with all that was allocated while it ran.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FunctionRow {
    /// The function.
    pub function: String,
    /// The file, empty if it is not known.
    pub file: String,
    /// All that was allocated.
    pub allocated: Amount,
    /// The part of it that is alive at the end.
    pub live: Amount,
}

/// A class of sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SizeRow {
    /// The largest size in it, in bytes. It has no smaller than half of that.
    pub most_bytes: u64,
    /// The blocks of such sizes.
    pub allocated: Amount,
}

/// A class of lifetimes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LifetimeRow {
    /// Shorter than this, in microseconds; nothing for those that are longer than all classes, and for blocks that are alive
    /// at the end.
    pub below_micros: Option<u64>,
    /// True if these blocks are alive at the end.
    pub alive: bool,
    /// The blocks that lived so long.
    pub allocated: Amount,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// The trace.
    pub trace: Header,
    /// The meaning of "temporary" in this report.
    pub temporary: String,
    /// Sums.
    pub totals: Totals,
    /// Growth, if two points were given.
    pub growth: Option<Growth>,
    /// Sites that allocated most.
    pub by_allocated: Vec<SiteRow>,
    /// Sites with most that is alive at the end.
    pub by_live: Vec<SiteRow>,
    /// Sites that grew most between the two points.
    pub by_growth: Vec<SiteRow>,
    /// Sites with most that was temporary.
    pub by_temporary: Vec<SiteRow>,
    /// Functions by what was allocated while they ran; recursion counts once.
    pub functions: Vec<FunctionRow>,
    /// Sizes.
    pub sizes: Vec<SizeRow>,
    /// Lifetimes.
    pub lifetimes: Vec<LifetimeRow>,
}

/// The number of callers that are shown of a site.
const CALLERS: usize = 4;

impl Report {
    /// The report on a profile, with the first `top` sites of each list.
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
