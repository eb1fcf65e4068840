//! Medians and percentiles. Means are not for latencies: one pause of the machine would decide them.

/// What was measured, a number a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    pub(crate) fn minimum(&self) -> f64 {
        self.percentile(0)
    }

    /// Each divided by the one of `others` that was measured beside it.
    pub(crate) fn ratios(&self, others: &Self) -> Self {
        self.0.iter().zip(&others.0).map(|(own, other)| own / other).collect()
    }

    /// The smallest value that is not below `percent` per cent of all. NaN of none, which meets no goal.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(last: u32) -> Samples {
        (1..=last).rev().map(f64::from).collect()
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(to(100).median(), 50.0);
        assert_eq!(to(100).percentile(99), 99.0);
        assert_eq!(to(100).percentile(100), 100.0);
        assert_eq!(to(5).median(), 3.0);
        assert_eq!(to(5).percentile(99), 5.0);
        assert_eq!(to(1).percentile(99), 1.0);
    }

    #[test]
    fn the_minimum_is_the_smallest() {
        assert_eq!(to(7).minimum(), 1.0);
    }

    #[test]
    fn a_ratio_is_of_what_was_measured_side_by_side() {
        let ratios = Samples(vec![2.0, 30.0, 4.0]).ratios(&Samples(vec![1.0, 30.0, 1.0]));
        assert_eq!(ratios.0, [2.0, 1.0, 4.0]);
    }

    #[test]
    fn nothing_measured_meets_no_goal() {
        assert!(Samples::default().median().is_nan());
    }
}
