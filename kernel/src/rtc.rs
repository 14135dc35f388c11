//! Reads the real-time clock: a date in whole seconds. Source: Motorola MC146818 data sheet; the PC's ports as QEMU and the kernel
//! have them.

/// The date's registers as they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// Register 0x00.
    pub seconds: u8,
    /// Register 0x02.
    pub minutes: u8,
    /// Register 0x04; in the 12-hour form, bit 7 means "after noon".
    pub hours: u8,
    /// Register 0x07: day of the month.
    pub day: u8,
    /// Register 0x08.
    pub month: u8,
    /// Register 0x09: year of the century.
    pub year: u8,
    /// Register 0x0b: bit 2 means binary (else BCD), bit 1 means 24 hours (else 12).
    pub form: u8,
}

impl Registers {
    /// Returns the seconds since the Unix epoch, for 2000 to 2099. Returns `None` if this is not a date: without an RTC all bits
    /// read as 1.
    pub fn unix_seconds(&self) -> Option<i64> {
        const BINARY: u8 = 1 << 2;
        const HOURS_24: u8 = 1 << 1;
        const AFTER_NOON: u8 = 1 << 7;
        let number = |register: u8, low: u8, high: u8| {
            let value = if self.form & BINARY != 0 {
                register
            } else if register & 0xf < 10 && register >> 4 < 10 {
                (register >> 4) * 10 + (register & 0xf)
            } else {
                return None;
            };
            (low..=high).contains(&value).then_some(i64::from(value))
        };
        let hours = if self.form & HOURS_24 != 0 {
            number(self.hours, 0, 23)?
        } else {
            let noon = if self.hours & AFTER_NOON != 0 { 12 } else { 0 };
            number(self.hours & !AFTER_NOON, 1, 12)? % 12 + noon
        };
        let month = number(self.month, 1, 12)?;
        let year = number(self.year, 0, 99)?;
        let leap = year % 4 == 0; // 2000 is a leap year, 2100 is not reached
        let longest = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let day = number(self.day, 1, longest)?;
        let (minutes, seconds) = (number(self.minutes, 0, 59)?, number(self.seconds, 0, 59)?);
        /// Days from 1970-01-01 to 2000-01-01.
        const DAYS_TO_2000: i64 = 10_957;
        /// Days of a common year before each month.
        const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let leap_days = (year + 3) / 4 + i64::from(leap && month > 2);
        let before = BEFORE[usize::try_from(month - 1).ok()?];
        let days = DAYS_TO_2000 + year * 365 + leap_days + before + day - 1;
        Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    }
}

#[cfg(target_os = "hermit")]
pub use ports::read;

#[cfg(target_os = "hermit")]
mod ports {
    use core::arch::asm;

    use super::Registers;
    use crate::sync::IrqLock;

    const STATUS_A: u8 = 0x0a;
    const STATUS_B: u8 = 0x0b;
    const UPDATING: u8 = 1 << 7;

    /// Returns the seconds since the Unix epoch. Returns `None` while the RTC moves on to the next second, a few milliseconds of
    /// each, and where there is no RTC.
    ///
    /// Costs 11 pairs of port accesses, some 50 µs where a monitor emulates them; interrupts are masked for one pair at a time. Do
    /// not call it under uhyve, which exits on an access to a port that it does not know.
    pub fn read() -> Option<i64> {
        // Without an RTC all bits read as 1, including this one.
        if register(STATUS_A) & UPDATING != 0 {
            return None;
        }
        let registers = Registers {
            seconds: register(0x00),
            minutes: register(0x02),
            hours: register(0x04),
            day: register(0x07),
            month: register(0x08),
            year: register(0x09),
            form: register(STATUS_B),
        };
        // The seconds may have turned between the first register and the last.
        if register(STATUS_A) & UPDATING != 0 || register(0x00) != registers.seconds {
            return None;
        }
        registers.unix_seconds()
    }

    /// The index port and the data port are one device: no other access may come between the two.
    static PORTS: IrqLock<()> = IrqLock::new(());

    fn register(index: u8) -> u8 {
        const INDEX: u16 = 0x70;
        const DATA: u16 = 0x71;
        /// Bit 7 of the index port masks the NMI and cannot be read back. The kernel sets it with every access at boot, so setting
        /// it here changes nothing.
        const NMI_MASKED: u8 = 1 << 7;
        let value: u8;
        let _alone = PORTS.lock();
        // SAFETY: the kernel runs applications in ring 0. Writing the index and reading the data register of the RTC changes only
        // the index: the registers read here have no side effects (only status C has).
        unsafe {
            asm!("out dx, al", in("dx") INDEX, in("al") NMI_MASKED | index, options(nomem, nostack));
            asm!("in al, dx", in("dx") DATA, out("al") value, options(nomem, nostack));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINARY_24: u8 = 0b110;

    fn bcd(value: u8) -> u8 {
        value / 10 * 16 + value % 10
    }

    /// Returns the calendar by counting: one day after another from 2000-01-01 (946,684,800 s) to 2099-12-31.
    fn days() -> impl Iterator<Item = (i64, u8, u8, u8)> {
        let mut date = (0u8, 1u8, 1u8);
        let mut at = 946_684_800;
        core::iter::from_fn(move || {
            let (year, month, day) = date;
            if year == 100 {
                return None;
            }
            let today = (at, year, month, day);
            at += 86_400;
            let length = match month {
                2 => 28 + u8::from(year % 4 == 0),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            date = if day < length {
                (year, month, day + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
            Some(today)
        })
    }

    #[test]
    fn every_day_of_the_century_is_as_counted_in_all_four_forms() {
        let mut counted = 0;
        for (at, year, month, day) in days() {
            let (hours, minutes, seconds) = (u8::try_from(at / 86_400 % 24).unwrap(), 7, 59);
            let expected = at + i64::from(hours) * 3_600 + 7 * 60 + 59;
            for form in [0b000, 0b010, 0b100, BINARY_24] {
                let code: fn(u8) -> u8 = if form & 0b100 == 0 {
                    bcd
                } else {
                    |value| value
                };
                let registers = Registers {
                    seconds: code(seconds),
                    minutes: code(minutes),
                    hours: if form & 0b010 == 0 {
                        code((hours + 11) % 12 + 1) | if hours >= 12 { 0x80 } else { 0 }
                    } else {
                        code(hours)
                    },
                    day: code(day),
                    month: code(month),
                    year: code(year),
                    form,
                };
                assert_eq!(registers.unix_seconds(), Some(expected), "{registers:?}");
            }
            counted += 1;
        }
        assert_eq!(counted, 36_525);
    }

    #[test]
    fn a_known_date_is_right() {
        // date -u -d 2026-11-22T17:16:45 +%s
        let registers = Registers {
            seconds: 0x45,
            minutes: 0x16,
            hours: 0x17,
            day: 0x22,
            month: 0x11,
            year: 0x26,
            form: 0b010,
        };
        assert_eq!(registers.unix_seconds(), Some(1_795_367_805));
    }

    #[test]
    fn impossible_dates_are_refused() {
        let good = Registers {
            seconds: 0,
            minutes: 0,
            hours: 0,
            day: 28,
            month: 2,
            year: 25,
            form: BINARY_24,
        };
        assert!(good.unix_seconds().is_some());
        let absent = Registers {
            seconds: 0xff,
            minutes: 0xff,
            hours: 0xff,
            day: 0xff,
            month: 0xff,
            year: 0xff,
            form: 0xff,
        };
        for bad in [
            absent,
            Registers {
                form: 0b010,
                seconds: 0x0a,
                ..good
            },
            Registers {
                form: 0b010,
                seconds: 0xa0,
                ..good
            },
            Registers {
                seconds: 60,
                ..good
            },
            Registers {
                minutes: 60,
                ..good
            },
            Registers { hours: 24, ..good },
            Registers {
                hours: 0,
                form: 0b100,
                ..good
            },
            Registers {
                hours: 13,
                form: 0b100,
                ..good
            },
            Registers { day: 0, ..good },
            Registers { day: 29, ..good },
            Registers {
                day: 31,
                month: 4,
                ..good
            },
            Registers { month: 0, ..good },
            Registers { month: 13, ..good },
            Registers { year: 100, ..good },
        ] {
            assert_eq!(bad.unix_seconds(), None, "{bad:?}");
        }
    }
}
