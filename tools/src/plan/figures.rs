//! What benchmarks measured, to hold the model against.

/// Of a table below benches/figures: the cells of each row.
pub(super) fn rows(figures: &str) -> Vec<Vec<&str>> {
    let lines = figures.lines().filter(|line| line.starts_with("| ")).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// What a cell says.
pub(super) fn number(cell: &str) -> f64 {
    cell.trim().parse().unwrap_or_else(|_| panic!("{cell:?} is no number"))
}

/// How far it may be from what was measured, as a factor.
pub(super) fn assert_near(said: f64, measured: f64, factor: f64, what: &str) {
    let ratio = said / measured;
    assert!((1.0 / factor..=factor).contains(&ratio), "{what}: says {said}, measured {measured}");
}
