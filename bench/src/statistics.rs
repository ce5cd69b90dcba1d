//! Medians, and how far the values lie from them.

/// A median with its spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The median absolute deviation from it: half of the values lie nearer, half farther.
    pub spread: f64,
}

impl Estimate {
    /// The median and spread of `values`; `NaN` for none.
    pub fn of(values: &[f64]) -> Self {
        let middle = median(values);
        let distances: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        Self { median: middle, spread: median(&distances) }
    }

    /// Of the differences between each value and its partner, measured in the same round: what slows the machine for a while
    /// slows both.
    pub fn of_differences(values: &[f64], partners: &[f64]) -> Self {
        let differences: Vec<f64> = values.iter().zip(partners).map(|(a, b)| a - b).collect();
        Self::of(&differences)
    }
}

/// The middle value, or the mean of the two in the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_moves_neither_the_median_nor_its_spread() {
        let estimate = Estimate::of(&[10.0, 11.0, 9.0, 500.0, 10.0]);
        assert_eq!(estimate, Estimate { median: 10.0, spread: 1.0 });
    }

    #[test]
    fn of_an_even_number_of_values_it_is_the_middle_of_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn differences_are_taken_round_by_round() {
        // The machine was twice as slow in the second round.
        let estimate = Estimate::of_differences(&[15.0, 30.0, 15.0], &[13.0, 26.0, 13.0]);
        assert_eq!(estimate.median, 2.0);
    }

    #[test]
    fn of_nothing_there_is_no_median() {
        assert!(median(&[]).is_nan());
    }
}
