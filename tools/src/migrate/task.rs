//! What is to be printed, and what all ways have in common.

use istio_stats::attachment::Attachment;
use serde_json::{json, Map, Value};

use super::emit;
use super::gather::Sources;
use super::intent::{Config, Context, Plan};

/// What is to be printed.
#[derive(Debug)]
pub(super) struct Task<'a> {
    pub(super) sources: &'a Sources,
    /// The widest first.
    pub(super) plans: &'a [Plan],
    pub(super) root_namespace: &'a str,
    /// Under names of their own, with Istio's metrics left on.
    pub(super) is_beside: bool,
}

// === impl Task ===

impl<'a> Task<'a> {
    /// The nearest wider scope whose proxies record something there already.
    pub(super) fn around(&self, plan: &Plan, context: Context, attachment: Attachment) -> Option<&'a Plan> {
        let wider = |other: &&Plan| other.scope != plan.scope && plan.scope.is_within(&other.scope);
        self.plans.iter().rev().filter(wider).find(|other| other.get(context, attachment).is_some())
    }

    /// The namespace of a plan's resources.
    pub(super) fn namespace(&self, plan: &'a Plan) -> &'a str {
        plan.scope.namespace.as_deref().unwrap_or(self.root_namespace)
    }
}

/// A sample's configuration with what was configured on top. Where it had a prefix, or
/// a period to look at, that was for the sample's sake.
pub(super) fn configured(mut sample: Config, config: &Config, is_beside: bool) -> Config {
    sample.retain(|key, _| match key.as_str() {
        "metric_prefix" => is_beside,
        "tcp_reporting_duration" => false,
        _ => true,
    });
    sample.extend(config.clone());
    sample
}

/// What a resource is about.
pub(super) fn title(plan: &Plan, attachment: Attachment) -> String {
    let protocol = match attachment {
        Attachment::Http => "HTTP and gRPC",
        Attachment::Tcp => "TCP",
    };
    format!("{protocol}: {}.", plan.scope.describe())
}

/// Which of a namespace's proxies a plan is for, in a resource that has these fields
/// for labels.
pub(super) fn selector(plan: &Plan, (outer, inner): (&str, &str)) -> Vec<String> {
    let mut selector = Map::new();
    if !plan.scope.labels.is_empty() {
        let labels = plan.scope.labels.iter().map(|(key, value)| (key.clone(), json!(value)));
        selector.insert(outer.to_owned(), json!({ inner: labels.collect::<Map<_, _>>() }));
    }
    if !plan.scope.targets.is_empty() {
        selector.insert("targetRefs".to_owned(), targets(plan));
    }
    emit::lines(&Value::Object(selector), 2)
}

fn targets(plan: &Plan) -> Value {
    let target = plan.scope.targets.iter().map(|target| {
        let fields = [("group", &target.group), ("kind", &target.kind), ("name", &target.name)];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        fields.map(|(key, value)| (key.to_owned(), json!(value))).collect::<Map<_, _>>()
    });
    target.map(Value::Object).collect()
}
