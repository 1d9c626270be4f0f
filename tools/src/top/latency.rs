//! Quantiles of a histogram, as Prometheus' `histogram_quantile` computes them.

/// Cumulative buckets, by their upper bound.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Buckets(Vec<(f64, f64)>);

/// More than any proxy has; each is looked for one by one.
const MAX_BUCKETS: usize = 500;

// === impl Buckets ===

impl Buckets {
    /// Adds to the bucket up to `bound`.
    pub(crate) fn add(&mut self, bound: f64, count: f64) {
        let is_full = self.0.len() >= MAX_BUCKETS && bound.is_finite();
        match self.0.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None if is_full || bound.is_nan() => {}
            None => {
                let place = self.0.partition_point(|(known, _)| *known < bound);
                self.0.insert(place, (bound, count));
            }
        }
    }

    /// Adds all of another's.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bound, count) in &other.0 {
            self.add(*bound, *count);
        }
    }

    /// The value below which a share `q` of the samples lies, evenly spread within a
    /// bucket; the largest bound if it lies beyond. `None` without samples.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let (_, count) = self.0.last().filter(|(bound, count)| bound.is_infinite() && *count > 0.0)?;
        let rank = q * count;
        let (mut lower, mut below) = (0.0, 0.0);
        for (bound, sum) in &self.0 {
            if *sum >= rank {
                if bound.is_infinite() {
                    return Some(lower);
                }
                let within = sum - below;
                let share = if within > 0.0 { (rank - below) / within } else { 0.0 };
                return Some(lower + (bound - lower) * share);
            }
            (lower, below) = (*bound, *sum);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[(f64, f64)]) -> Buckets {
        let mut buckets = Buckets::default();
        for (bound, count) in counts {
            buckets.add(*bound, *count);
        }
        buckets
    }

    const INF: f64 = f64::INFINITY;

    /// Expected values from `histogram_quantile` of Prometheus on the same buckets.
    #[test]
    fn quantiles_are_those_of_prometheus() {
        let even = buckets(&[(1.0, 0.0), (5.0, 50.0), (10.0, 90.0), (25.0, 100.0), (INF, 100.0)]);
        assert_eq!(even.quantile(0.5), Some(5.0));
        assert_eq!(even.quantile(0.25), Some(3.0));
        assert_eq!(even.quantile(0.99), Some(23.5));
        let beyond = buckets(&[(5.0, 1.0), (INF, 10.0)]);
        assert_eq!(beyond.quantile(0.5), Some(5.0));
    }

    #[test]
    fn the_order_of_adding_does_not_matter_and_series_add_up() {
        let both = buckets(&[(INF, 4.0), (5.0, 2.0), (1.0, 0.0), (5.0, 2.0), (INF, 0.0)]);
        assert_eq!(both, buckets(&[(1.0, 0.0), (5.0, 4.0), (INF, 4.0)]));
        assert_eq!(both.quantile(0.5), Some(3.0));
        let mut merged = buckets(&[(INF, 3.0), (5.0, 1.0)]);
        merged.merge(&buckets(&[(1.0, 0.0), (5.0, 3.0), (INF, 1.0)]));
        assert_eq!(merged, both);
    }

    #[test]
    fn without_samples_there_is_none() {
        assert_eq!(Buckets::default().quantile(0.5), None);
        assert_eq!(buckets(&[(5.0, 0.0), (INF, 0.0)]).quantile(0.5), None);
        // Cut off.
        assert_eq!(buckets(&[(5.0, 3.0)]).quantile(0.5), None);
    }
}
