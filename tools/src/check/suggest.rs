//! What somebody may have meant.

/// `did you mean "X"?` for the one candidate that is most like `word`, else all of
/// them.
pub(super) fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<_> = candidates.into_iter().collect();
    if candidates.is_empty() {
        return None;
    }
    Some(match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("there are: {}", candidates.join(", ")),
    })
}

/// The candidate that is most like `word`, if it is much like it.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.85;
    let word = word.to_ascii_lowercase();
    let likeness = |candidate: &&str| strsim::jaro_winkler(&word, &candidate.to_ascii_lowercase());
    let best = candidates.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(&best) >= ALIKE).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_or_all() {
        let fields = ["cluster_id", "namespace", "workload_name"];
        assert_eq!(suggest("clusterId", fields).as_deref(), Some("did you mean \"cluster_id\"?"));
        assert_eq!(suggest("workload", fields).as_deref(), Some("did you mean \"workload_name\"?"));
        assert_eq!(
            suggest("zone", fields).as_deref(),
            Some("there are: cluster_id, namespace, workload_name")
        );
        assert_eq!(suggest("zone", []), None);
    }
}
