//! What was usual before the deployment. Advice for the reader: the absolute limits alone decide, since the fifty points a side
//! that a statistical comparison needs are an hour's worth.

/// The middle of some values; `None` of none.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 100.0]), Some(3.0));
        assert_eq!(median(&[]), None);
    }
}
