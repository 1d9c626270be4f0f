//! What the native form needs, and what it does not do: docs/native.md.

use expressions::expression::{Expression, Refusal};
use istio_stats::config::overrides::Override;
use istio_stats::config::Config;
use istio_stats::exchange;
use istio_stats::host::excerpt::quoted;
use istio_stats::rules::rewrite::rewrite;

use super::definitions::path_of_definition;
use super::problem::{Level, Problem, Problems};
use crate::artefact::Artefact;
use crate::find::found::{Form, Found};
use crate::yaml::{Node, Position};
use crate::{find, handles};

/// Without it Envoy puts the module's namespace in front of every name.
const STRIP: &str = "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix";

/// Where Envoy has the metrics of an upstream cluster, and of filters that do not say another.
const NAMESPACE: &str = "dynamicmodulescustom";

/// Checks a configuration of the stats plugin, as far as Envoy's CEL has nothing to say against it.
pub(super) fn check(found: &Found, config: &Config, problems: &mut Problems) {
    if !found.is_native() {
        return;
    }
    let mut check = |path: String, text: &str, consequence: &str| {
        if let Err(Refusal::Beyond(why)) = Expression::compile(&rewrite(text).text()) {
            let message = format!("{}: {why}; {consequence}", quoted(text));
            let suggestion = "leave it out, or use the Wasm module".to_owned();
            problems.push(Problem::of_field(Level::Error, found, &path, message).suggest(suggestion));
        }
    };
    for Override { path, dimensions, condition, .. } in &config.overrides {
        for (label, text) in dimensions {
            check(format!("{path}.dimensions.{label}"), text, "the label is left out");
        }
        if let Some(text) = condition {
            check(format!("{path}.match"), text, "the entry never applies");
        }
    }
    for definition in &config.definitions {
        let path = path_of_definition(found, &definition.name);
        check(path, &definition.value, "the metric is not recorded");
    }
}

/// Checks a bootstrap that has filters of the native module; `configs` are those of the stats plugin.
pub(super) fn check_bootstrap(
    found: &[Found],
    configs: &[(&Found, Config)],
    bootstrap: &Node,
    problems: &mut Problems,
) {
    check_handles(configs, problems);
    check_marks(found, bootstrap, problems);
    if !configs.iter().any(|(found, _)| found.is_native()) {
        return;
    }
    let mut warn = |position, message: &str, suggestion: String| {
        problems.push(Problem::new(Level::Warning, position, &[], message.to_owned()).suggest(suggestion));
    };
    if !says(bootstrap) {
        let message = "names of the native form's metrics begin with \"envoy_\" and its metrics_namespace";
        let suggestion = format!("say {STRIP}: true in a static_layer of layered_runtime");
        warn(bootstrap.position_of("layered_runtime"), message, suggestion);
    }
    if configs.iter().any(|(found, _)| found.form == Some(Form::NativeUpstreamCluster)) {
        each_other_namespace(bootstrap, &mut |position| {
            let message = format!("metrics by handle are in the namespace {NAMESPACE}, not in this one");
            warn(position, &message, "leave metrics_namespace out".to_owned());
        });
    }
}

/// Where a filter of this module has another namespace than its handles.
fn each_other_namespace(node: &Node, tell: &mut impl FnMut(Position)) {
    if let Some(config) = node.get("dynamic_module_config").filter(|_| find::native_module(node).is_some()) {
        let other = config.get("metrics_namespace").filter(|told| told.text() != Some(NAMESPACE));
        if let Some(other) = other {
            tell(other.position);
        }
    }
    node.elements().iter().for_each(|element| each_other_namespace(element, tell));
    node.entries().iter().for_each(|entry| each_other_namespace(&entry.value, tell));
}

/// Checks that what network filters record has handles: they have nothing else.
fn check_handles(configs: &[(&Found, Config)], problems: &mut Problems) {
    let of = |form| configs.iter().filter(move |(found, _)| found.form == Some(form));
    for (found, config) in of(Form::NativeNetworkFilter) {
        let upstream_clusters = of(Form::NativeUpstreamCluster).map(|(_, config)| config);
        if let Some(message) = handles::lacking(config, upstream_clusters) {
            let suggestion = "docs/native.md has its lines; its cluster_config is the filter's configuration";
            problems.push(Problem::of_field(Level::Error, found, "", message).suggest(suggestion.to_owned()));
        }
    }
}

/// Checks that which upstream clusters expect the exchange over TCP is not only said where the native form cannot
/// read it.
fn check_marks(found: &[Found], bootstrap: &Node, problems: &mut Problems) {
    let exchanges = |form| {
        let is_it = move |one: &&Found| one.artefact == Artefact::MetadataExchange && one.form == Some(form);
        found.iter().filter(is_it)
    };
    if exchanges(Form::NativeNetworkFilter).next().is_none()
        || exchanges(Form::NetworkFilter).next().is_some()
    {
        return;
    }
    let listed: Vec<_> = exchanges(Form::NativeNetworkFilter)
        .filter_map(|one| exchange::config::Config::compile(one.configuration.bytes.as_ref().ok()?).0)
        .flat_map(|config| config.tcp_upstream_clusters)
        .collect();
    let clusters = bootstrap.at(&["static_resources", "clusters"]).map(Node::elements).unwrap_or_default();
    for cluster in clusters {
        let name = cluster.text_at(&["name"]).unwrap_or_default();
        let mark = cluster.at(&["metadata", "filter_metadata", "istio-stats", "tcp_exchange"]);
        if let Some(mark) = mark.filter(|_| !listed.iter().any(|known| known == name)) {
            let message =
                "the native form cannot read this: no frame is written to the upstream cluster".to_owned();
            let suggestion = format!("list {name:?} in tcp_upstream_clusters of metadata_exchange");
            let place = [format!("upstream cluster {name:?}")];
            problems.push(Problem::new(Level::Warning, mark.position, &place, message).suggest(suggestion));
        }
    }
}

/// Whether the runtime of a bootstrap has the flag set, flat or as a tree.
fn says(bootstrap: &Node) -> bool {
    let layers = bootstrap.at(&["layered_runtime", "layers"]).map(Node::elements).unwrap_or_default();
    let is_set = |node: &Node| node.to_json() == true || node.text() == Some("true");
    let path: Vec<_> = STRIP.split('.').collect();
    layers
        .iter()
        .filter_map(|layer| layer.get("static_layer"))
        .any(|layer| layer.get(STRIP).or_else(|| layer.at(&path)).is_some_and(is_set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artefact::Artefact;

    fn problems(bytes: &str) -> Vec<String> {
        let found = Found::by_itself(Artefact::IstioStats, bytes.into(), Some(Form::NativeUpstreamCluster));
        let mut problems = Problems::default();
        super::super::configuration::check(&found, &mut problems);
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn what_the_native_form_does_not_do_is_an_error_with_its_path() {
        let text = r#"{
            "node": {"id": "me"},
            "metrics": [{
                "dimensions": {"method": "request.method", "all": "string(size(request.headers))"},
                "match": "request.duration > duration('1s')"
            }],
            "definitions": [
                {"name": "sizes", "value": "request.size"},
                {"name": "ages", "value": "int(request.time)"}
            ]
        }"#;
        assert_eq!(
            problems(text),
            [
                "metrics[0].dimensions.all: \"string(size(request.headers))\": the native form cannot read \
                 request.headers; the label is left out",
                "metrics[0].match: \"request.duration > duration('1s')\": the native form cannot read \
                 request.duration; the entry never applies",
                "definitions[1].value: \"int(request.time)\": the native form cannot read request.time; \
                 the metric is not recorded",
            ]
        );
    }

    #[test]
    fn expressions_on_peers_are_none_of_it() {
        let text = r#"{"metrics": [{
            "dimensions": {"who": "upstream_peer.workload + node.metadata['CLUSTER_ID']"},
            "match": "has(filter_state.downstream_peer) && 'role' in upstream_peer.labels"
        }]}"#;
        let others = |problem: &String| problem.contains("native form");
        assert!(!problems(text).iter().any(others));
    }

    #[test]
    fn what_it_does_is_none() {
        let text = r#"{"node": {}, "labels": ["reporter"], "max_series": 9, "attachment": "tcp"}"#;
        assert_eq!(problems(text), [""; 0]);
    }
}
