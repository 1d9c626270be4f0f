//! EnvoyFilters. They add up, so what is for fewer proxies replaces the filter that is
//! for more.

use istio_stats::attachment::Attachment;

use crate::migrate::intent::{Config, Context, Plan};
use crate::migrate::notes::Notes;
use crate::migrate::sheet::Sheet;
use crate::migrate::task::{configured, selector, title, Task};

/// The samples, and the filter before which they put the plugin.
const SAMPLES: [(Attachment, &str, &str); 2] = [
    (
        Attachment::Http,
        include_str!("../../../../envoy-config/istio/beside/envoy-filter/http.yaml"),
        "subFilter: { name: envoy.filters.http.router }",
    ),
    (
        Attachment::Tcp,
        include_str!("../../../../envoy-config/istio/beside/envoy-filter/tcp.yaml"),
        "filter: { name: envoy.filters.network.tcp_proxy }",
    ),
];

/// The resources.
pub(super) fn documents(task: &Task<'_>, notes: &mut Notes) -> Vec<String> {
    let plans = task.plans.iter().flat_map(|plan| SAMPLES.map(|sample| (plan, sample)));
    let documents = plans.filter_map(|(plan, (attachment, text, place))| {
        if plan.scope.contexts().contains(&Context::Waypoint) {
            notes.add(plan.scope.describe(), "a waypoint takes no EnvoyFilter: see --to wasm-plugin");
            return None;
        }
        let sheet = Sheet::documents(text).into_iter().next()?;
        Printer { task, plan, attachment, place }.document(&sheet)
    });
    documents.collect()
}

struct Printer<'a> {
    task: &'a Task<'a>,
    plan: &'a Plan,
    attachment: Attachment,
    place: &'a str,
}

// === impl Printer ===

impl Printer<'_> {
    fn document(&self, sample: &Sheet) -> Option<String> {
        let (mut head, patches) = split(sample);
        let patches: Vec<_> = patches.iter().filter_map(|patch| self.patch(patch)).collect();
        if patches.is_empty() {
            return None;
        }
        let scope = &self.plan.scope;
        let level = i32::from(scope.namespace.is_some()).saturating_add(i32::from(scope.chosen_by.is_some()));
        head.replace("namespace: istio-system", &format!("namespace: {}", self.task.namespace(self.plan)));
        if let Some(name) = &scope.chosen_by {
            head.replace("  name: istio-stats-http", &format!("  name: istio-stats-http-{name}"));
            head.replace("  name: istio-stats-tcp", &format!("  name: istio-stats-tcp-{name}"));
        }
        // Those for fewer proxies come later: they change what the others did. All of TCP
        // come before other EnvoyFilters, all of HTTP behind them.
        let (of_sample, priority) = match self.attachment {
            Attachment::Http => (10, level.saturating_add(1).saturating_mul(10)),
            Attachment::Tcp => (-10, level.saturating_sub(10)),
        };
        head.replace(&format!("priority: {of_sample}"), &format!("priority: {priority}"));
        head.insert_after("spec:", selector(self.plan, ("workloadSelector", "labels")));
        let comment = format!("# {}\n", title(self.plan, self.attachment));
        Some(comment + &head.text() + &patches.concat())
    }

    /// `None`: it is not needed.
    fn patch(&self, sample: &Sheet) -> Option<String> {
        let mut patch = sample.clone();
        let context = patch.lines.iter().find_map(|line| line.trim().strip_prefix("context: "));
        let context = Context::of_patch(context?)?;
        if !self.plan.scope.contexts().contains(&context) {
            return None;
        }
        let around = self.task.around(self.plan, context, self.attachment);
        if around.is_some() && patch.contains("operation: REMOVE") {
            // Of a tunnel's listener: the wider one's filter is gone there.
            return None;
        }
        let own = self.filter(context, self.plan);
        patch.replace(&self.sample_filter(context), &own);
        let replaced = around.map(|plan| self.filter(context, plan));
        let is_place = patch.contains("operation: INSERT_BEFORE");
        if let Some(filter) = replaced.filter(|_| is_place) {
            let place = self.place.split('{').next().unwrap_or_default();
            patch.replace(self.place, &format!("{place}{{ name: {filter} }}"));
            patch.replace("operation: INSERT_BEFORE", "operation: REPLACE");
        }
        let config = self.plan.get(context, self.attachment);
        if config.is_some() && config == around.and_then(|plan| plan.get(context, self.attachment)) {
            return None;
        }
        let Some(config) = config else {
            // The wider one's filter goes; else there is none.
            around.filter(|_| is_place)?;
            patch.replace("operation: REPLACE", "operation: REMOVE");
            patch.remove("value:");
            return Some(patch.text());
        };
        if patch.contains("applyTo: EXTENSION_CONFIG") {
            self.configure(&mut patch, config);
        }
        Some(patch.text())
    }

    fn configure(&self, patch: &mut Sheet, config: &Config) {
        let is_beside = self.task.is_beside;
        // The outer `value` is the extension's own.
        let at = patch.lines.iter().position(|line| line.contains("google.protobuf.Struct"));
        let mut rest = Sheet { lines: at.map(|at| patch.lines.split_off(at)).unwrap_or_default() };
        rest.set_block("value", |sample| configured(sample, config, is_beside));
        patch.lines.append(&mut rest.lines);
    }

    fn sample_filter(&self, context: Context) -> String {
        let protocol = match self.attachment {
            Attachment::Http => "http",
            Attachment::Tcp => "tcp",
        };
        let side = match context {
            Context::Outbound => "outbound",
            Context::Inbound => "inbound",
            Context::Gateway | Context::Waypoint => "gateway",
        };
        format!("istio-stats-{protocol}-{side}")
    }

    /// The name of a plan's filter.
    fn filter(&self, context: Context, plan: &Plan) -> String {
        self.sample_filter(context) + &plan.scope.suffix()
    }
}

/// The lines in front of the patches, and each of these with its comment.
fn split(sample: &Sheet) -> (Sheet, Vec<Sheet>) {
    let mut head = Sheet { lines: Vec::new() };
    let mut patches: Vec<Sheet> = Vec::new();
    let mut comment = Vec::new();
    for line in &sample.lines {
        let is_comment = line.starts_with("    #") && !line.starts_with("     ");
        if is_comment {
            comment.push(line.clone());
            continue;
        }
        if line.starts_with("    - ") {
            patches.push(Sheet { lines: Vec::new() });
        }
        let part = patches.last_mut().unwrap_or(&mut head);
        part.lines.append(&mut comment);
        part.lines.push(line.clone());
    }
    (head, patches)
}
