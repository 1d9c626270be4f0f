//! A configuration of either plugin: any bytes compile, the same way each time,
//! and every problem names its place.

use istio_stats::catalogue::dimension::LabelSet;
use istio_stats::catalogue::metric::Metric;
use istio_stats::config::issue::Issue;
use istio_stats::config::Config;
use istio_stats::exchange;
use istio_stats::rules::plan::{Conditions, MetricIndex, Plans, TagValue, Variant};
use istio_stats::rules::rewrite::rewrite;

use super::input::hash;
use super::tags::is_identifier;

pub fn run(data: &[u8]) {
    let (config, issues) = Config::compile(data);
    check_issues(config.is_some(), &issues);
    assert_eq!(Config::compile(data), (config.clone(), issues));
    if let Some(config) = config {
        check_plans(&config, hash(data));
    }

    let (config, issues) = exchange::config::Config::compile(data);
    check_issues(config.is_some(), &issues);
    assert_eq!(exchange::config::Config::compile(data), (config, issues));
}

fn check_issues(usable: bool, issues: &[Issue]) {
    let errors = issues.iter().filter(|issue| issue.level == log::Level::Error).count();
    if usable {
        assert_eq!(errors, 0, "{issues:?}");
    } else {
        assert_eq!((errors, issues.len()), (1, 1), "{issues:?}");
    }
    for Issue { level: _, path, message } in issues {
        assert_eq!(path.is_empty(), !usable, "{message}");
        for text in [path, message] {
            // Both become one line of the proxy's log.
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        assert!(!message.is_empty());
    }
}

fn check_plans(config: &Config, hash: u32) {
    let mut plans = Plans::new(config);
    for number in 0..plans.expressions().len() {
        if hash >> (number % 32) & 1 == 1 {
            plans.refuse(number);
        }
    }
    let definitions = plans.definitions().iter().map(|definition| &definition.value);
    for text in plans.expressions().iter().chain(definitions).map(String::as_str).chain(plans.conditions()) {
        check_rewrite(text);
    }

    let all_labels = plans.all_labels();
    assert_eq!(all_labels, plans.all_labels());
    let alone = (0..plans.conditions().count()).map(|bit| 1 << bit);
    let some = [0, u32::MAX, hash, hash.rotate_left(16) ^ 0x5555_5555];
    for conditions in alone.chain(some).map(Conditions::of_bits) {
        let variant = plans.variant(conditions);
        assert_eq!(variant.conditions, conditions);
        assert_eq!(variant.metrics(), Metric::ALL.len() + plans.definitions().len());
        for metric in indices(&plans) {
            check_plan(&variant, metric, &all_labels);
        }
    }
}

/// Every metric, with the label set it is recorded with.
fn indices(plans: &Plans) -> impl Iterator<Item = (MetricIndex, &'static [LabelSet])> {
    let standard = Metric::ALL.into_iter().map(|metric| {
        let sets: &[LabelSet] = match metric.labels() {
            LabelSet::Messages => &[LabelSet::Messages],
            LabelSet::Tcp => &[LabelSet::Tcp],
            LabelSet::Http => &[LabelSet::Http],
        };
        (metric.into(), sets)
    });
    let both: &[LabelSet] = &[LabelSet::Tcp, LabelSet::Http];
    let defined = (0..plans.definitions().len()).map(move |n| (MetricIndex::of_definition(n), both));
    standard.chain(defined)
}

fn check_plan(variant: &Variant, (metric, sets): (MetricIndex, &[LabelSet]), all_labels: &[String]) {
    let Some(plan) = variant.plan(metric) else {
        return;
    };
    assert!(is_identifier(&plan.name), "{}", plan.name);
    let mut seen = Vec::new();
    for (label, value) in plan.labels() {
        assert!(is_identifier(label) && !seen.contains(&label), "{label} of {}", plan.name);
        assert!(all_labels.iter().any(|known| known == label), "{label} of {}", plan.name);
        seen.push(label);
        for set in sets {
            // Or two series would count as one.
            let key = variant.key(*set);
            let told_apart = match value {
                TagValue::Standard(dimension) => key.dimensions.contains(&dimension),
                TagValue::Expression(number) => key.expressions.contains(&number),
            };
            assert!(told_apart, "{label} of {}", plan.name);
        }
    }
}

fn check_rewrite(text: &str) {
    let rewritten = rewrite(text);
    let given = rewritten.text();
    let is_as_it_was = rewritten.changes.is_empty() && rewritten.peer_facts().next().is_none();
    assert_eq!(is_as_it_was, given == text, "{text:?}");
    let again = rewrite(&given);
    assert_eq!(again.text(), given, "of {text:?}");
    assert!(again.changes.is_empty() && again.peer_facts().next().is_none());
}
