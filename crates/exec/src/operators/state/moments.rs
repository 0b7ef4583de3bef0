//! Variances and regressions of doubles, by the sums that are kept around running means.
//!
//! # Source
//! Youngs and Cramer, "Some Results Relevant to Choice of Sum and Sum-of-Product Algorithms", Technometrics 13 (1971): the
//! method of PostgreSQL, so that results have its last digits too.

use cofferdam_plan::physical::AggregateFunction;

use super::cells::{Moments, Pairs};

/// A result beyond doubles, of numbers that are not infinite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Overflow;

/// Whether a sum of products overflowed; what is infinite else becomes NaN.
fn settle(sum: &mut f64, is_finite_before: bool) -> Result<(), Overflow> {
    if sum.is_infinite() {
        if is_finite_before {
            return Err(Overflow);
        }
        *sum = f64::NAN;
    }
    Ok(())
}

impl Moments {
    #[inline(always)]
    pub(super) fn take(&mut self, x: f64) -> Result<(), Overflow> {
        let before = *self;
        self.n += 1.0;
        self.sx += x;
        if before.n > 0.0 {
            let distance = x * self.n - self.sx;
            self.sxx += distance * distance / (self.n * before.n);
            if self.sx.is_infinite() || self.sxx.is_infinite() {
                if !before.sx.is_infinite() && !x.is_infinite() {
                    return Err(Overflow);
                }
                self.sxx = f64::NAN;
            }
        } else if !x.is_finite() {
            self.sxx = f64::NAN;
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Moments) -> Result<(), Overflow> {
        if other.n == 0.0 {
            return Ok(());
        }
        if self.n == 0.0 {
            *self = *other;
            return Ok(());
        }
        let (a, n) = (*self, self.n + other.n);
        let distance = a.sx / a.n - other.sx / other.n;
        let is_finite = !a.sxx.is_infinite() && !other.sxx.is_infinite();
        *self = Moments {
            n,
            sx: a.sx + other.sx,
            sxx: a.sxx + other.sxx + a.n * other.n * distance * distance / n,
        };
        if self.sx.is_infinite() && !a.sx.is_infinite() && !other.sx.is_infinite() {
            return Err(Overflow);
        }
        if self.sxx.is_infinite() && is_finite { Err(Overflow) } else { Ok(()) }
    }

    pub(super) fn result(&self, function: AggregateFunction) -> Option<f64> {
        let Moments { n, sx, sxx } = *self;
        let divisor = match function {
            AggregateFunction::VarSamp | AggregateFunction::StddevSamp => n - 1.0,
            _ => n,
        };
        if divisor <= 0.0 {
            return None;
        }
        Some(match function {
            AggregateFunction::Avg => sx / n,
            AggregateFunction::StddevPop | AggregateFunction::StddevSamp => (sxx / divisor).sqrt(),
            _ => sxx / divisor,
        })
    }
}

impl Pairs {
    #[inline(always)]
    pub(super) fn take(&mut self, y: f64, x: f64) -> Result<(), Overflow> {
        let before = *self;
        self.n += 1.0;
        self.sx += x;
        self.sy += y;
        if before.n > 0.0 {
            let (dx, dy) = (x * self.n - self.sx, y * self.n - self.sy);
            let scale = 1.0 / (self.n * before.n);
            self.sxx += dx * dx * scale;
            self.syy += dy * dy * scale;
            self.sxy += dx * dy * scale;
            let is_finite_x = !before.sx.is_infinite() && !x.is_infinite();
            let is_finite_y = !before.sy.is_infinite() && !y.is_infinite();
            if (self.sx.is_infinite() && is_finite_x) || (self.sy.is_infinite() && is_finite_y) {
                return Err(Overflow);
            }
            settle(&mut self.sxx, is_finite_x)?;
            settle(&mut self.syy, is_finite_y)?;
            settle(&mut self.sxy, is_finite_x && is_finite_y)?;
        } else {
            if !x.is_finite() {
                (self.sxx, self.sxy) = (f64::NAN, f64::NAN);
            }
            if !y.is_finite() {
                (self.syy, self.sxy) = (f64::NAN, f64::NAN);
            }
        }
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Pairs) -> Result<(), Overflow> {
        if other.n == 0.0 {
            return Ok(());
        }
        if self.n == 0.0 {
            *self = *other;
            return Ok(());
        }
        let (a, b, n) = (*self, *other, self.n + other.n);
        let (dx, dy) = (a.sx / a.n - b.sx / b.n, a.sy / a.n - b.sy / b.n);
        let weight = a.n * b.n / n;
        *self = Pairs {
            n,
            sx: a.sx + b.sx,
            sxx: a.sxx + b.sxx + weight * dx * dx,
            sy: a.sy + b.sy,
            syy: a.syy + b.syy + weight * dy * dy,
            sxy: a.sxy + b.sxy + weight * dx * dy,
        };
        let overflows = |sum: f64, a: f64, b: f64| sum.is_infinite() && !a.is_infinite() && !b.is_infinite();
        let is_over = overflows(self.sx, a.sx, b.sx)
            || overflows(self.sxx, a.sxx, b.sxx)
            || overflows(self.sy, a.sy, b.sy)
            || overflows(self.syy, a.syy, b.syy)
            || overflows(self.sxy, a.sxy, b.sxy);
        if is_over { Err(Overflow) } else { Ok(()) }
    }

    pub(super) fn result(&self, function: AggregateFunction) -> Option<f64> {
        use AggregateFunction as F;
        let Pairs { n, sx, sxx, sy, syy, sxy } = *self;
        let least = if function == F::CovarSamp { 2.0 } else { 1.0 };
        if n < least {
            return None;
        }
        let is_flat = match function {
            F::Corr => sxx == 0.0 || syy == 0.0,
            F::RegrR2 | F::RegrSlope | F::RegrIntercept => sxx == 0.0,
            _ => false,
        };
        if is_flat {
            return None;
        }
        Some(match function {
            F::RegrSxx => sxx,
            F::RegrSyy => syy,
            F::RegrSxy => sxy,
            F::RegrAvgX => sx / n,
            F::RegrAvgY => sy / n,
            F::CovarPop => sxy / n,
            F::CovarSamp => sxy / (n - 1.0),
            F::Corr => sxy / (sxx * syy).sqrt(),
            F::RegrR2 if syy == 0.0 => 1.0,
            F::RegrR2 => (sxy * sxy) / (sxx * syy),
            F::RegrSlope => sxy / sxx,
            _ => (sy - sx * sxy / sxx) / n,
        })
    }
}
