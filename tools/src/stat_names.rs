//! The stat names that a configuration makes, as far as labels go, and the
//! positions of the labels in them.

use istio_stats::catalogue::dimension::Dimension;
use istio_stats::config::Config;
use istio_stats::rules::plan::{Plans, TagValue};

use crate::cel::{self, Purpose};

/// Envoy's prefix for the stats of plugins, in front of the labels.
pub(crate) const WASM_PREFIX: &str = "wasmcustom.";

/// The labels of some metrics, in the order of their stat names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatName {
    /// One of the metrics, without `istio_`.
    pub(crate) metric: String,
    pub(crate) labels: Vec<Label>,
}

/// A label in a stat name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) name: String,
    /// Whether an Envoy might refuse its expression, and so leave it out.
    may_be_missing: bool,
}

/// A label and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LabelPosition {
    pub(crate) label: String,
    /// How many labels precede it, if that is the same in every stat name.
    pub(crate) position: Option<usize>,
}

/// The stat names of a configuration, for every combination of its conditions.
/// Names with the same labels are given once.
pub(crate) fn of_config(config: &Config) -> Vec<StatName> {
    let mut plans = Plans::new(config);
    let opinions: Vec<_> = plans.expressions().iter().map(|text| cel::judge(text, Purpose::Label)).collect();
    for (number, opinion) in opinions.iter().enumerate() {
        if opinion.refused.is_some() {
            plans.refuse(number);
        }
    }
    let may_be_missing = |value| match value {
        TagValue::Standard(_) => false,
        TagValue::Expression(number) => opinions.get(number).is_some_and(|opinion| !opinion.is_plain),
    };
    let mut names: Vec<StatName> = Vec::new();
    plans.each_variant(|variant| {
        for plan in variant.plans() {
            let label = |(name, value): (&str, TagValue)| Label {
                name: name.to_owned(),
                may_be_missing: may_be_missing(value),
            };
            let labels: Vec<_> = plan.labels().map(label).collect();
            if !names.iter().any(|known| known.labels == labels) {
                names.push(StatName { metric: plan.name.clone(), labels });
            }
        }
    });
    names
}

/// The plugin's metrics about itself that carry a label of their own; those
/// without one need no line. (`istio_build` has a form of its own.)
pub(crate) fn of_plugin() -> Vec<StatName> {
    let label = Label { name: "reason".to_owned(), may_be_missing: false };
    vec![StatName { metric: "stats_peer_decode_errors_total".to_owned(), labels: vec![label] }]
}

/// Every label once: the standard ones in order, then the others as they come.
pub(crate) fn positions(names: &[StatName]) -> Vec<LabelPosition> {
    let mut positions: Vec<LabelPosition> = Vec::new();
    for name in names {
        let mut is_sure = true;
        for (position, label) in name.labels.iter().enumerate() {
            let position = Some(position).filter(|_| is_sure);
            match positions.iter_mut().find(|known| known.label == label.name) {
                Some(known) if known.position == position => {}
                Some(known) => known.position = None,
                None => positions.push(LabelPosition { label: label.name.clone(), position }),
            }
            is_sure &= !label.may_be_missing;
        }
    }
    let rank = |label: &LabelPosition| Dimension::ALL.iter().position(|d| d.name() == label.label);
    positions.sort_by_key(|label| rank(label).unwrap_or(Dimension::ALL.len()));
    positions
}

/// Labels whose name is the end of another's, each with that one. Istio's
/// expressions are not anchored: they find the one in the other.
pub(crate) fn suffixes(positions: &[LabelPosition]) -> Vec<(&str, &str)> {
    let labels = || positions.iter().map(|label| label.label.as_str());
    let pairs = labels().flat_map(|one| labels().map(move |other| (one, other)));
    pairs.filter(|(one, other)| one != other && other.ends_with(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions_of(configuration: &str) -> Vec<(String, Option<usize>)> {
        let (config, issues) = Config::compile(configuration.as_bytes());
        assert_eq!(issues, []);
        let names = of_config(&config.unwrap());
        positions(&names).into_iter().map(|label| (label.label, label.position)).collect()
    }

    fn position(configuration: &str, label: &str) -> Option<usize> {
        let positions = positions_of(configuration);
        positions.into_iter().find(|(known, _)| known == label).unwrap().1
    }

    #[test]
    fn standard_labels_stand_where_they_are_listed() {
        let expected: Vec<_> =
            Dimension::ALL.iter().enumerate().map(|(index, d)| (d.name().to_owned(), Some(index))).collect();
        assert_eq!(positions_of("{}"), expected);
        assert_eq!(of_config(&Config::default()).len(), 3);
    }

    #[test]
    fn a_label_that_is_gone_moves_all_behind_it() {
        let everywhere = r#"{"metrics": [{"tags_to_remove": ["source_app"]}]}"#;
        assert_eq!(position(everywhere, "source_version"), Some(4));
        let labels = r#"{"labels": ["reporter", "source_cluster", "response_code"]}"#;
        assert_eq!(position(labels, "source_cluster"), Some(1));
        // Gone from one metric or for some streams: several positions.
        let from_one = r#"{"metrics": [{"name": "request_bytes", "tags_to_remove": ["source_app"]}]}"#;
        let for_some =
            r#"{"metrics": [{"match": "request.method == 'GET'", "tags_to_remove": ["source_app"]}]}"#;
        for configuration in [from_one, for_some] {
            assert_eq!(position(configuration, "source_principal"), Some(3));
            assert_eq!(position(configuration, "source_version"), None);
        }
    }

    #[test]
    fn a_new_label_stands_behind_the_others() {
        let dimensions = r#""dimensions": {"a": "request.method", "b": "request.path"}"#;
        let on_one = format!(r#"{{"metrics": [{{"name": "requests_total", {dimensions}}}]}}"#);
        assert_eq!((position(&on_one, "a"), position(&on_one, "b")), (Some(25), Some(26)));
        let on_all = format!(r#"{{"metrics": [{{{dimensions}}}]}}"#);
        assert_eq!((position(&on_all, "a"), position(&on_all, "b")), (None, None));
    }

    #[test]
    fn what_an_envoy_might_refuse_makes_positions_unsure() {
        let of = |expression: &str| {
            format!(r#"{{"metrics": [{{"dimensions": {{"source_app": "{expression}"}}}}]}}"#)
        };
        for (expression, app, version) in [
            ("request.method", Some(4), Some(5)),
            ("upstream_peer.app", Some(4), Some(5)),
            ("string(response.code)", Some(4), None),
        ] {
            let configuration = of(expression);
            assert_eq!(position(&configuration, "source_app"), app, "{expression}");
            assert_eq!(position(&configuration, "source_version"), version, "{expression}");
        }
        // Refused for sure: not there.
        let positions = positions_of(&of("request.method.lowerAscii()"));
        assert!(positions.contains(&("source_version".to_owned(), Some(4))));
        assert!(!positions.iter().any(|(label, _)| label == "source_app"));
    }

    #[test]
    fn a_defined_metric_has_only_what_is_set_for_it() {
        let configuration = r#"{
            "definitions": [{"name": "n", "value": "1"}],
            "metrics": [{"name": "n", "dimensions": {"reporter": "'me'", "response_code": "request.id"}}]
        }"#;
        assert_eq!(position(configuration, "reporter"), Some(0));
        assert_eq!(position(configuration, "response_code"), None);
    }

    #[test]
    fn ends_of_other_labels_are_found() {
        let of = |label: &str| LabelPosition { label: label.to_owned(), position: None };
        let positions = ["source_app", "reporter", "app", "my_reporter"].map(of);
        assert_eq!(suffixes(&positions), [("reporter", "my_reporter"), ("app", "source_app")]);
        let (config, _) = Config::compile(b"{}");
        assert_eq!(suffixes(&super::positions(&of_config(&config.unwrap()))), []);
    }
}
