//! The wall clock beside the machine's real-time clock: it detects, counts and repairs steps.
//!
//! The image takes the date at boot and counts on from there. A machine that is paused, saved or moved stands still.
//! When it continues, its wall clock stays behind. So the image reads the RTC now and then:
//!
//! ```text
//!   RTC, whole seconds     |    S    |   S+1   |
//!   wall clock                   w                   the RTC reads S: it is S to S+1
//!   lead of the RTC        S - w … S+1 - w           reported: the middle, ± 500 ms
//! ```

use units::UnixNanos;

/// The smallest change of the lead that is a step. Between two looks at clocks that run alike the lead changes by less
/// than a second, because the RTC has whole seconds only. Twice that is certainly a step.
const STEP_MS: i64 = 2_000;
/// Half of the RTC's unit.
const HALF_MS: i64 = 500;

/// The result of a look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The change of the lead, in milliseconds, if it is a step.
    pub step_ms: Option<i64>,
    /// The time by which the wall clock has to be moved forward, in milliseconds, if it is certainly behind. A clock
    /// that is ahead is not moved back: timestamps must not run backwards.
    pub advance_ms: Option<u64>,
}

/// The state of the comparison of the two clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    lead_ms: Option<i64>,
    steps: u64,
    last_step_ms: i64,
    advanced_ms: u64,
}

impl Watch {
    /// Creates a comparison before the first look.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            lead_ms: None,
            steps: 0,
            last_step_ms: 0,
            advanced_ms: 0,
        }
    }

    /// Compares the wall clock with what the RTC read at that time, in seconds since 1970. The caller moves the clock
    /// if the result says so.
    pub fn look(&mut self, wall: UnixNanos, rtc_seconds: i64) -> Found {
        let least = rtc_seconds
            .saturating_mul(1_000)
            .saturating_sub(wall.0 / 1_000_000);
        let lead = least.saturating_add(HALF_MS);
        let step_ms = self
            .lead_ms
            .map(|before| lead.saturating_sub(before))
            .filter(|change| change.unsigned_abs() >= STEP_MS.unsigned_abs());
        if let Some(step) = step_ms {
            self.steps += 1;
            self.last_step_ms = step;
        }
        // This also corrects a drift that is too slow to be a step.
        let advance_ms = u64::try_from(least).ok().filter(|_| lead >= STEP_MS);
        self.advanced_ms = self.advanced_ms.saturating_add(advance_ms.unwrap_or(0));
        self.lead_ms = Some(if advance_ms.is_some() { HALF_MS } else { lead });
        Found {
            step_ms,
            advance_ms,
        }
    }

    /// Returns how far the RTC is ahead, within ± 500 ms; `None` before the first look.
    #[must_use]
    pub const fn lead_ms(&self) -> Option<i64> {
        self.lead_ms
    }

    /// Returns the number of steps of one clock against the other.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns the last step of the lead.
    #[must_use]
    pub const fn last_step_ms(&self) -> i64 {
        self.last_step_ms
    }

    /// Returns the total time by which the wall clock was moved forward.
    #[must_use]
    pub const fn advanced_ms(&self) -> u64 {
        self.advanced_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at a wall clock and an RTC each `period_ms`. The RTC is ahead by `lead_ms(look)`; the wall clock is moved
    /// as requested.
    fn looks(period_ms: i64, lead_ms: impl Fn(i64) -> i64, looks: i64) -> (Watch, Vec<Found>) {
        const BOOT_MS: i64 = 1_800_000_000_000;
        let (mut watch, mut advanced) = (Watch::new(), 0);
        let found = (0..looks).map(|n| {
            let unmoved = BOOT_MS + n * period_ms;
            let rtc = (unmoved + lead_ms(n)).div_euclid(1_000);
            let found = watch.look(UnixNanos((unmoved + advanced) * 1_000_000), rtc);
            advanced += found.advance_ms.unwrap_or(0).cast_signed();
            found
        });
        let found = found.collect();
        (watch, found)
    }

    #[test]
    fn clocks_that_run_alike_are_left_alone() {
        for lead in [-999, -500, 0, 1, 499, 999, 1_400] {
            for period in [100, 333, 1_000, 10_000] {
                let (watch, found) = looks(period, |_| lead, 1_000);
                assert_eq!(found, vec![Found::default(); 1_000], "{lead} {period}");
                let told = watch.lead_ms().expect("looked at");
                assert_eq!(
                    (watch.steps(), watch.last_step_ms(), watch.advanced_ms()),
                    (0, 0, 0)
                );
                assert!((told - lead).abs() <= 500, "{lead}: {told}");
            }
        }
    }

    #[test]
    fn a_pause_is_a_step_and_mended_at_the_next_look() {
        for pause in [3_000, 3_600_000] {
            let (watch, found) = looks(10_000, |n| if n < 5 { 300 } else { 300 + pause }, 20);
            let steps: Vec<_> = found.iter().filter_map(|it| it.step_ms).collect();
            assert_eq!(steps.len(), 1, "{found:?}");
            assert!((steps[0] - pause).abs() < 1_000, "{steps:?}");
            let moved = found[5].advance_ms.expect("moved").cast_signed();
            assert!(
                (pause + 300 - 1_000..=pause + 300).contains(&moved),
                "{moved}"
            );
            assert_eq!(watch.advanced_ms.cast_signed(), moved, "and once only");
        }
    }

    #[test]
    fn a_clock_that_is_ahead_is_told_and_not_moved() {
        let (watch, found) = looks(10_000, |n| if n < 5 { 0 } else { -60_000 }, 10);
        assert!((found[5].step_ms.expect("a step") + 60_000).abs() < 1_000);
        assert!(found.iter().all(|it| it.advance_ms.is_none()));
        assert!((watch.lead_ms.expect("looked") + 60_000).abs() <= 500);
    }

    #[test]
    fn a_slow_drift_is_mended_without_a_step() {
        // 1,000 ppm: 10 ms in every 10 s.
        let (watch, found) = looks(10_000, |n| n * 10, 1_000);
        assert!(found.iter().all(|it| it.step_ms.is_none()));
        let late = 1_000 * 10 - watch.advanced_ms.cast_signed();
        assert!((0..2_500).contains(&late), "{late}");
    }

    #[test]
    fn a_clock_that_started_in_1970_gets_the_date_at_the_first_look() {
        let mut watch = Watch::new();
        let found = watch.look(UnixNanos(5_000_000_000), 1_800_000_000);
        assert_eq!(found.advance_ms, Some(1_799_999_995_000));
        assert_eq!(found.step_ms, None, "nothing was known before");
        let extreme = watch.look(UnixNanos(i64::MIN), i64::MAX);
        assert!(extreme.step_ms.is_some());
    }
}
