//! A limit that Telex has set itself, and whether it kept it.

/// A goal and whether it was met.
#[derive(Debug, Clone)]
pub(crate) struct Goal {
    text: String,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    Missed,
    /// What it is measured against is not installed.
    Unknown,
}

impl Goal {
    pub(crate) fn at_most(value: f64, limit: f64, unit: &str) -> Self {
        Self::new(format!("<= {limit} {unit}"), value, value <= limit)
    }

    pub(crate) fn at_least(value: f64, limit: f64, unit: &str) -> Self {
        Self::new(format!(">= {limit} {unit}"), value, value >= limit)
    }

    fn new(text: String, value: f64, met: bool) -> Self {
        let verdict = match met {
            _ if value.is_nan() => Verdict::Unknown,
            true => Verdict::Met,
            false => Verdict::Missed,
        };
        Self { text, verdict }
    }

    /// For the end of a line.
    pub(crate) fn sentence(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Met => "met",
            Verdict::Missed => "MISSED",
            Verdict::Unknown => "not judged",
        };
        format!("goal {} {verdict}", self.text)
    }

    pub(crate) fn is_met(&self) -> bool {
        self.verdict == Verdict::Met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_without_a_measurement_is_not_met() {
        let goal = Goal::at_most(f64::NAN, 3.0, "x");
        assert!(!goal.is_met());
        assert_eq!(goal.sentence(), "goal <= 3 x not judged");
    }

    #[test]
    fn the_limit_itself_meets_the_goal() {
        assert!(Goal::at_most(3.0, 3.0, "x").is_met());
        assert!(Goal::at_least(0.6, 0.6, "x").is_met());
        assert!(!Goal::at_least(0.59, 0.6, "x").is_met());
        assert!(!Goal::at_most(3.01, 3.0, "x").is_met());
    }
}
