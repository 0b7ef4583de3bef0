//! The four levels of memory pressure (seed 004) and the events that tell of them.
//!
//! | level | used, of the limit | what happens |
//! |---|---|---|
//! | `Normal` | below 50 % | nothing |
//! | `Moderate` | from 50 % | pools are preferred to fresh arena memory; the interner asks for more sightings before it admits a name |
//! | `High` | from 75 % | an arena that takes a chunk acquires the one after it too; the intern table is compacted |
//! | `Critical` | from 90 % | the emergency reserve is for rollback and errors; large statements are refused ([`Budget::admit`](crate::Budget::admit)); the event is one to log |
//!
//! A budget's level is the worst of its own and of its ancestors', kept in one byte of the node, so asking is one
//! load. Thresholds are exact: the level changes with the charge that reaches 50, 75 or 90 per cent, and with the
//! release that goes below.

use crate::text::{InlineText, human_bytes};
use core::fmt;

/// How much of a limit is in use, by the seed's four levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Pressure {
    /// Below 50 %.
    Normal = 0,
    /// From 50 %.
    Moderate = 1,
    /// From 75 %.
    High = 2,
    /// From 90 %.
    Critical = 3,
}

/// The percentages at which the levels `Moderate`, `High` and `Critical` begin.
pub const THRESHOLDS_PERCENT: [u8; 3] = [50, 75, 90];

impl Pressure {
    pub(crate) fn from_byte(byte: u8) -> Pressure {
        match byte {
            0 => Pressure::Normal,
            1 => Pressure::Moderate,
            2 => Pressure::High,
            _ => Pressure::Critical,
        }
    }

    /// The level of `used` units under a limit of `limit` units.
    pub(crate) fn of(used: u32, limit: u32) -> Pressure {
        // As `threshold` says, multiplied instead of divided: every charge comes through here.
        let (used_percent, limit) = (u64::from(used) * 100, u64::from(limit));
        let is_reached = |percent: u8| used > 0 && used_percent >= limit * u64::from(percent);
        let level = THRESHOLDS_PERCENT.iter().take_while(|percent| is_reached(**percent)).count();
        Pressure::from_byte(level as u8)
    }

    /// The smallest use that leaves this level upwards; `u32::MAX` at the top.
    pub(crate) fn up(self, limit: u32) -> u32 {
        match self {
            Pressure::Critical => u32::MAX,
            level => threshold(limit, level as u8),
        }
    }

    /// A use below this leaves the level downwards; 0 at the bottom.
    pub(crate) fn down(self, limit: u32) -> u32 {
        match self {
            Pressure::Normal => 0,
            level => threshold(limit, level as u8 - 1),
        }
    }
}

/// The first use in units that is at or above the `index`-th percentage; never 0, so that an unused budget of limit
/// 0 is calm.
fn threshold(limit: u32, index: u8) -> u32 {
    let percent = u64::from(THRESHOLDS_PERCENT[usize::from(index)]);
    u32::try_from((u64::from(limit) * percent).div_ceil(100)).expect("a part of a u32").max(1)
}

impl fmt::Display for Pressure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Pressure::Normal => "normal",
            Pressure::Moderate => "moderate",
            Pressure::High => "high",
            Pressure::Critical => "critical",
        })
    }
}

/// A budget passed from one level of pressure to another. One event for each change of a budget's own level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PressureEvent {
    /// Path of the budget, root first.
    pub path: InlineText<127>,
    /// The level before.
    pub from: Pressure,
    /// The level now.
    pub to: Pressure,
    /// Bytes handed out when the change was seen.
    pub used_bytes: u64,
    /// The budget's limit in bytes.
    pub limit_bytes: u64,
}

impl fmt::Display for PressureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "memory pressure of {}: {} -> {}, {} of {} used",
            self.path,
            self.from,
            self.to,
            human_bytes(self.used_bytes),
            human_bytes(self.limit_bytes)
        )
    }
}

/// Hears of what happens in a tree of budgets. Called without any lock held; must not block for long, and must not
/// panic.
pub trait Observer: Send + Sync {
    /// A budget's own level changed.
    fn pressure_changed(&self, event: &PressureEvent);

    /// The last handle of a budget went away while it still had charges: somebody forgot to release them. They are
    /// returned to the parent.
    fn leaked(&self, path: &str, bytes: u64) {
        let _ = (path, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_exactly_at_their_percentage() {
        let limits = [1u32, 2, 7, 100, 1000, 1 << 20];
        for &limit in &limits[..if cfg!(miri) { 4 } else { limits.len() }] {
            for used in 0..=limit.min(2000) {
                let percent = f64::from(used) * 100.0 / f64::from(limit);
                let want = match percent {
                    p if p >= 90.0 => Pressure::Critical,
                    p if p >= 75.0 => Pressure::High,
                    p if p >= 50.0 => Pressure::Moderate,
                    _ => Pressure::Normal,
                };
                let level = Pressure::of(used, limit);
                assert_eq!(level, want, "{used} of {limit}");
                assert!(
                    used < level.up(limit) && used >= level.down(limit),
                    "{used} of {limit} stays in {level}"
                );
            }
        }
        assert_eq!(Pressure::of(0, 0), Pressure::Normal);
    }
}
