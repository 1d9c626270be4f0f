//! One plugin configuration, by itself.

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::dimension::Dimension;
use istio_stats::catalogue::metric::{Metric, PREFIX};
use istio_stats::config::issue::Issue;
use istio_stats::config::overrides::Override;
use istio_stats::config::Config;
use istio_stats::host::excerpt::quoted;
use istio_stats::workload::fact::Fact;

use super::compile::{compile, instead_of, Compiled};
use super::definitions::path_of_definition;
use super::problem::{Level, Problem, Problems};
use super::suggest::{nearest, suggest};
use super::{cost, form, native};
use crate::artefact::Artefact;
use crate::find::found::{Form, Found};
use crate::find::without_node;
use crate::istio_metrics::{of_telemetry, ALL_METRICS};
use expressions::Purpose;

/// Checks what was found.
pub(super) fn check(found: &Found, problems: &mut Problems) {
    check_failure(found, problems);
    let bytes = match &found.configuration.bytes {
        Ok(bytes) => bytes,
        Err(why) => {
            return problems.push(Problem::of_field(Level::Error, found, "", why.clone()));
        }
    };
    let rest = if found.is_native() { without_node(bytes) } else { None };
    let (compiled, issues) = compile(found.artefact, rest.as_ref().unwrap_or(bytes));
    for issue in issues {
        problems.push(of_issue(found, issue, &compiled));
    }
    let attachment = match &compiled {
        Compiled::Nothing => None,
        Compiled::Stats(config) => {
            check_expressions(found, config, problems);
            check_labels(found, config, problems);
            cost::check(found, config, problems);
            native::check(found, config, problems);
            config.attachment
        }
        Compiled::Exchange(config) => config.attachment,
    };
    check_attachment(found, attachment, problems);
    form::check(found, &compiled, problems);
}

/// What the plugin's compiler says. It goes on with warnings; they are errors
/// here.
fn of_issue(found: &Found, issue: Issue, compiled: &Compiled) -> Problem {
    let suggestion = match compiled {
        Compiled::Nothing => None,
        Compiled::Stats(config) => {
            name_instead_of(&issue, config).or_else(|| field_instead_of(found.artefact, &issue))
        }
        Compiled::Exchange(_) => field_instead_of(found.artefact, &issue),
    };
    let level = if issue.level <= log::Level::Warn { Level::Error } else { Level::Info };
    Problem::of_field(level, found, &issue.path, issue.message).suggest(suggestion)
}

fn field_instead_of(artefact: Artefact, issue: &Issue) -> Option<String> {
    let field = issue.path.rsplit('.').next()?;
    suggest(field, instead_of(artefact, &issue.path)?)
}

/// The metric or label that may have been meant; the message begins with the one
/// that is not.
fn name_instead_of(issue: &Issue, config: &Config) -> Option<String> {
    let in_quotes = issue.message.split('"').nth(1)?;
    if issue.path == "labels" {
        return suggest(in_quotes, Dimension::ALL.into_iter().map(Dimension::name));
    }
    let is_metric = issue.path.starts_with("metrics[") && issue.path.ends_with(".name");
    let name = in_quotes.strip_prefix(PREFIX).unwrap_or(in_quotes);
    is_metric.then(|| istio_name(name).or_else(|| suggest(name, metrics(config)))).flatten()
}

/// What to say instead of a name that Istio's Telemetry has for a metric.
fn istio_name(name: &str) -> Option<String> {
    if name.eq_ignore_ascii_case(ALL_METRICS) {
        return Some("an entry without a name is for all metrics".to_owned());
    }
    let metric = of_telemetry(name)?;
    Some(format!("did you mean {:?}? {name} is its name in Istio's Telemetry", metric.name()))
}

fn metrics(config: &Config) -> impl Iterator<Item = &str> + '_ {
    let defined = config.definitions.iter().map(|definition| definition.name.as_str());
    Metric::ALL.into_iter().map(|metric| metric.name()).chain(defined)
}

fn check_expressions(found: &Found, config: &Config, problems: &mut Problems) {
    let mut check = |path: String, text: &str, purpose, consequence: &str| {
        let opinion = expressions::judge(text, purpose);
        let say = |level, message: String| {
            Problem::of_field(level, found, &path, format!("{}: {message}", quoted(text)))
        };
        for (from, to) in &opinion.changes {
            problems.push(say(Level::Info, format!("{from} reads {to} on this host")));
        }
        if let Some(why) = opinion.refused {
            problems.push(say(Level::Error, format!("{why}; {consequence}")));
        }
        if opinion.loops > 1 {
            let message = format!("macros {} deep, for each request", opinion.loops);
            let suggestion = "each level takes as long as its list is: with five, milliseconds".to_owned();
            problems.push(say(Level::Warning, message).suggest(suggestion));
        }
        for name in opinion.unknown_names {
            let message = format!("Envoy has no attribute {name}");
            problems.push(say(Level::Warning, message).suggest(attribute_instead_of(&name)));
        }
    };
    for Override { path, dimensions, condition, .. } in &config.overrides {
        for (label, text) in dimensions {
            let path = format!("{path}.dimensions.{label}");
            check(path, text, Purpose::Label, "the label is left out");
        }
        if let Some(text) = condition {
            check(format!("{path}.match"), text, Purpose::Condition, "the entry never applies");
        }
    }
    for definition in &config.definitions {
        let path = path_of_definition(found, &definition.name);
        check(path, &definition.value, Purpose::Value, "the metric is not recorded");
    }
}

fn attribute_instead_of(name: &str) -> String {
    if name.contains("stream_peer") {
        return peer_fact_instead_of(name);
    }
    let (attribute, known) = (name.split_once('.'), expressions::instead_of(name));
    match attribute {
        Some((attribute, field)) => match nearest(field, known.iter().copied()) {
            Some(near) => format!("did you mean {:?}?", format!("{attribute}.{near}")),
            None => format!("{attribute} has: {}", known.join(", ")),
        },
        None => match nearest(name, known) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "it has no value unless another Wasm filter sets a property of this name".to_owned(),
        },
    }
}

fn peer_fact_instead_of(name: &str) -> String {
    let facts: Vec<_> = Fact::ALL.into_iter().filter_map(Fact::name).collect();
    let near =
        name.rsplit_once('.').and_then(|(peer, fact)| Some((peer, nearest(fact, facts.iter().copied())?)));
    match near {
        Some((peer, fact)) => format!("did you mean {:?}?", format!("{peer}.{fact}")),
        None => format!("of a peer there are: {}, labels['…']", facts.join(", ")),
    }
}

fn check_labels(found: &Found, config: &Config, problems: &mut Problems) {
    let standard = || Dimension::ALL.into_iter().map(Dimension::name);
    let set = || config.overrides.iter().flat_map(|change| change.dimensions.iter());
    for change in &config.overrides {
        for (index, label) in change.tags_to_remove.iter().enumerate() {
            let is_known = standard().any(|known| known == label) || set().any(|(known, _)| known == label);
            if !is_known {
                let path = format!("{}.tags_to_remove[{index}]", change.path);
                let message = format!("no metric has the label {}", quoted(label));
                let near = nearest(label, standard()).map(|near| format!("did you mean {near:?}?"));
                problems.push(Problem::of_field(Level::Warning, found, &path, message).suggest(near));
            }
        }
        for (label, _) in &change.dimensions {
            let slip = standard().find(|known| known != label && strsim::levenshtein(known, label) <= 2);
            if let Some(near) = slip.filter(|_| !standard().any(|known| known == label)) {
                let path = format!("{}.dimensions.{label}", change.path);
                let message = format!("a new label that differs little from {near}");
                let suggestion = format!("did you mean {near:?}?");
                problems.push(Problem::of_field(Level::Warning, found, &path, message).suggest(suggestion));
            }
        }
    }
}

fn check_attachment(found: &Found, configured: Option<Attachment>, problems: &mut Problems) {
    let Some((configured, actual)) =
        configured.zip(found.form.and_then(Form::attachment)).filter(|(a, b)| a != b)
    else {
        return;
    };
    let name = |attachment| {
        let choice = Attachment::CHOICES.iter().find(|(_, choice)| *choice == attachment);
        choice.map(|(name, _)| *name).unwrap_or_default()
    };
    let chain = match actual {
        Attachment::Http => "an HTTP filter",
        Attachment::Tcp => "a network filter",
    };
    let message = format!("{} in {chain}", quoted(name(configured)));
    let suggestion = format!("say {:?}, or leave the field out", name(actual));
    problems.push(Problem::of_field(Level::Error, found, "attachment", message).suggest(suggestion));
}

fn check_failure(found: &Found, problems: &mut Problems) {
    let Some(failure) = found.failure.filter(|failure| !failure.is_open) else {
        return;
    };
    let message = "should the plugin fail, the proxy refuses traffic".to_owned();
    let suggestion = format!("say {}", failure.open);
    problems.push(Problem::new(Level::Warning, failure.position, &found.place, message).suggest(suggestion));
}
