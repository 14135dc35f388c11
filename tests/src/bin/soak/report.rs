//! The report: what was sent, shown and lost, the memory of both sides, and the verdict.

use core::fmt;
use core::time::Duration;

use crate::flaps::Losses;
use crate::machine::Lines;
use crate::mischief::Done;

/// The growth of the peak of the second half over that of the first that is not a leak: the workload is random, and a history on
/// the host fills in an hour.
const GROWTH: f64 = 0.10;
/// The same for hermon, whose histories of new fields fill, in bytes.
const HERMON_GROWTH: u64 = 32 << 20;

/// The answer to `m` when nobody has switched anything off.
const ALL_ON: &str = "ok: *:enabled";

/// One image at the end.
#[derive(Debug)]
pub(crate) struct Image {
    pub name: &'static str,
    pub lines: Lines,
    /// What it said of its metrics at the end.
    pub metrics: String,
    pub losses: Losses,
    /// Lines that hermon has shown.
    pub shown: u64,
    /// Commands of the operator, and connections for them that had no answer.
    pub operator: (u64, u64),
    /// Frames of the attack.
    pub frames: u64,
    /// What the console said of errors.
    pub complaints: Vec<String>,
    /// Bytes allocated, at each look.
    pub live: Vec<u64>,
}

/// All that a soak has found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub took: Duration,
    pub images: Vec<Image>,
    pub mischief: Vec<Done>,
    /// hermon's memory, at each look.
    pub hermon: Vec<u64>,
    /// hermon's last line.
    pub summary: String,
}

impl Image {
    /// Returns the lines that must have been shown: those that left while the link was up.
    fn expected(&self) -> u64 {
        self.lines.sent - self.losses.while_down
    }

    fn faults(&self) -> Vec<String> {
        let Self { name, lines, .. } = self;
        let mut faults = Vec::new();
        if lines.sent == 0 {
            faults.push(format!("{name}: it has sent nothing"));
        }
        if self.metrics.trim_end() != ALL_ON {
            let metrics = self.metrics.trim_end();
            faults.push(format!("{name}: somebody switched metrics: {metrics}"));
        }
        if self.losses.while_up > 0 {
            let lost = self.losses.while_up;
            faults.push(format!(
                "{name}: {lost} lines did not get to the cable while the link was up"
            ));
        }
        // By TCP a line may come twice if its connection broke.
        if self.shown != self.expected() && lines.in_doubt == 0 {
            let (expected, shown) = (self.expected(), self.shown);
            faults.push(format!(
                "{name}: {expected} lines must have come, {shown} were shown"
            ));
        }
        if grew(&self.live) > GROWTH {
            faults.push(format!("{name}: its memory grew"));
        }
        for complaint in &self.complaints {
            faults.push(format!("{name}: {complaint}"));
        }
        faults
    }
}

/// Returns the growth of the peak from the first half to the second, relative to the first.
fn grew(looks: &[u64]) -> f64 {
    let (first, second) = looks.split_at(looks.len() / 2);
    match (first.iter().max(), second.iter().max()) {
        (Some(&first), Some(&second)) if first > 0 => second as f64 / first as f64 - 1.0,
        _ => 0.0,
    }
}

fn peaks(looks: &[u64]) -> String {
    let (first, second) = looks.split_at(looks.len() / 2);
    let peak = |looks: &[u64]| {
        looks
            .iter()
            .max()
            .map_or(0.0, |&peak| peak as f64 / f64::from(1 << 20))
    };
    format!(
        "{:.1} MiB in the first half, {:.1} MiB in the second",
        peak(first),
        peak(second)
    )
}

impl Report {
    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<_> = self.images.iter().flat_map(Image::faults).collect();
        let peak = |looks: &[u64]| looks.iter().max().copied().unwrap_or(0);
        let (first, second) = self.hermon.split_at(self.hermon.len() / 2);
        if peak(second) > peak(first) + HERMON_GROWTH {
            faults.push("hermon: its memory grew".into());
        }
        if !self.summary.contains("exit status: 0") {
            faults.push("hermon: it did not end with success".into());
        }
        faults
    }

    /// Returns `true` if nothing is wrong.
    pub(crate) fn passed(&self) -> bool {
        self.faults().is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "soak: {:.1} minutes, {} images",
            self.took.as_secs_f64() / 60.0,
            self.images.len()
        )?;
        for image in &self.images {
            let Image {
                name,
                lines,
                losses,
                shown,
                operator: (asked, unanswered),
                frames,
                ..
            } = image;
            writeln!(f, "\n{name}")?;
            writeln!(f, "  lines sent            {:>10}", lines.sent)?;
            writeln!(f, "  lines shown           {shown:>10}")?;
            writeln!(
                f,
                "  lost, link down       {:>10}   in {} flaps",
                losses.while_down, losses.flaps
            )?;
            writeln!(f, "  lost, link up         {:>10}", losses.while_up)?;
            writeln!(
                f,
                "  dropped by the image  {:>10}   in doubt {}, intervals missed {}",
                lines.lost, lines.in_doubt, lines.missed
            )?;
            writeln!(
                f,
                "  operator's commands   {asked:>10}   {unanswered} connections without an answer"
            )?;
            writeln!(f, "  frames of the attack  {frames:>10}")?;
            writeln!(f, "  heap in use           {}", peaks(&image.live))?;
        }
        writeln!(
            f,
            "\nhermon\n  memory                {}\n  {}",
            peaks(&self.hermon),
            self.summary
        )?;
        let misdeeds: u64 = self.mischief.iter().map(|(_, count)| count).sum();
        writeln!(f, "  misdeeds of clients   {misdeeds:>10}")?;
        for (name, count) in &self.mischief {
            writeln!(f, "    {name:<20}{count:>10}")?;
        }
        let faults = self.faults();
        if faults.is_empty() {
            writeln!(
                f,
                "\npassed: every line was shown or lies in a flap, and neither side's memory grew"
            )
        } else {
            writeln!(f, "\nFAILED")?;
            faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
        }
    }
}
