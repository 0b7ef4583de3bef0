//! Order statistics of small samples.

/// The value below which the share `part` (0 to 1) of `values` lies, between neighbours by linear interpolation;
/// not a number when there are none.
pub fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = part.clamp(0.0, 1.0) * last as f64;
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (position - low as f64)
}

/// The middle of `values`.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The quotients of two columns, round by round.
pub fn paired_ratios(ours: &[f64], theirs: &[f64]) -> Vec<f64> {
    ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(quantile(&[0.0, 10.0], 0.1), 1.0);
        assert!(median(&[]).is_nan());
    }

    /// Aim: a machine that slows down for some rounds does not change the ratio. Method: both columns doubled in two rounds.
    #[test]
    fn ratios_are_paired() {
        let ratios = paired_ratios(&[1.0, 2.0, 2.0], &[2.0, 4.0, 4.0]);
        assert_eq!(ratios, [0.5, 0.5, 0.5]);
    }
}
