//! WasmPlugins and TrafficExtensions. They add up, and nothing takes one away from
//! some proxies: what is for fewer cannot stand beside what is for more.

use istio_stats::attachment::Attachment;

use crate::migrate::intent::{Context, Plan};
use crate::migrate::notes::Notes;
use crate::migrate::sheet::Sheet;
use crate::migrate::task::{configured, selector, title, Task};

/// The samples of one kind.
pub(super) struct Samples {
    kind: &'static str,
    http: &'static str,
    tcp: &'static str,
}

/// Those of WasmPlugins.
pub(super) const WASM_PLUGIN: Samples = Samples {
    kind: "WasmPlugin",
    http: include_str!("../../../../envoy-config/istio/beside/wasm-plugin/http.yaml"),
    tcp: include_str!("../../../../envoy-config/istio/beside/wasm-plugin/tcp.yaml"),
};

/// Those of TrafficExtensions.
pub(super) const TRAFFIC_EXTENSION: Samples = Samples {
    kind: "TrafficExtension",
    http: include_str!("../../../../envoy-config/istio/beside/traffic-extension/http.yaml"),
    tcp: include_str!("../../../../envoy-config/istio/beside/traffic-extension/tcp.yaml"),
};

/// For waypoints there are WasmPlugins alone.
const WAYPOINT: Samples = Samples {
    kind: "WasmPlugin",
    http: include_str!("../../../../envoy-config/istio/beside/waypoint/http.yaml"),
    tcp: include_str!("../../../../envoy-config/istio/beside/waypoint/tcp.yaml"),
};

/// The resources.
pub(super) fn documents(task: &Task<'_>, samples: &Samples, notes: &mut Notes) -> Vec<String> {
    let mut documents = Vec::new();
    for plan in task.plans {
        let is_waypoint = plan.scope.contexts().contains(&Context::Waypoint);
        let samples = if is_waypoint { &WAYPOINT } else { samples };
        for (attachment, text) in [(Attachment::Http, samples.http), (Attachment::Tcp, samples.tcp)] {
            for sheet in Sheet::documents(text) {
                let context = match (is_waypoint, sheet.contains("mode: SERVER")) {
                    (true, _) => Context::Waypoint,
                    (false, true) => Context::Inbound,
                    (false, false) => Context::Outbound,
                };
                documents.extend(document(task, samples, (plan, context, attachment), sheet, notes));
            }
        }
    }
    documents
}

fn document(
    task: &Task<'_>,
    samples: &Samples,
    (plan, context, attachment): (&Plan, Context, Attachment),
    mut sheet: Sheet,
    notes: &mut Notes,
) -> Option<String> {
    let place = plan.scope.describe();
    let is_gateways_alone = plan.scope.contexts() == [Context::Gateway];
    let context = if is_gateways_alone && context == Context::Outbound { Context::Gateway } else { context };
    if !plan.scope.contexts().contains(&context) {
        return None;
    }
    if let Some(around) = task.around(plan, context, attachment) {
        if around.get(context, attachment) == plan.get(context, attachment) {
            return None;
        }
        let kind = samples.kind;
        let what = format!(
            "no equivalent: a {kind} adds to that of {}, which cannot leave these proxies out, so they keep \
             that one's metrics; see --to envoy-filter",
            around.scope.describe()
        );
        notes.add(place, what);
        return None;
    }
    if context == Context::Outbound && plan.get(context, attachment) != plan.get(Context::Gateway, attachment)
    {
        let what = format!(
            "no equivalent: to a {} gateways are clients as sidecars are: their own configuration is left \
             out; see --to envoy-filter",
            samples.kind
        );
        notes.add(&place, what);
    }
    let config = plan.get(context, attachment)?;
    sheet.set_block("pluginConfig", |sample| configured(sample, config, task.is_beside));
    sheet.replace("namespace: istio-system", &format!("namespace: {}", task.namespace(plan)));
    if let Some(name) = &plan.scope.chosen_by {
        sheet.replace("  name: istio-stats-", &format!("  name: istio-stats-{name}-"));
    }
    sheet.remove("targetRefs:");
    sheet.insert_after("spec:", selector(plan, ("selector", "matchLabels")));
    Some(format!("# {}\n{}", title(plan, attachment), sheet.text()))
}
