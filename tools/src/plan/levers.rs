//! What can be set, what that changes, and how it is written.

use istio_stats::catalogue::dimension::Dimension;

use super::mesh::Mesh;
use super::model::{label_bytes, usual_labels, Form};

/// One of them.
pub(crate) struct Lever {
    pub(crate) name: &'static str,
    /// Where the lines go.
    pub(crate) place: &'static str,
    pub(crate) lines: &'static str,
    /// `None` where it changes nothing.
    pub(crate) change: fn(&Mesh) -> Option<Mesh>,
}

/// Those that neither Kiali nor the project's dashboards look at.
const UNUSED: [Dimension; 4] = [
    Dimension::SourceApp,
    Dimension::SourceVersion,
    Dimension::DestinationApp,
    Dimension::DestinationVersion,
];

/// Of the lever on buckets: ten bounds, and the endless one.
const FEWER_BUCKETS: f64 = 11.0;

pub(crate) const ALL: [Lever; 5] = [
    Lever {
        name: "protobuf",
        place: "Prometheus' command line",
        lines: "--enable-feature=native-histograms",
        change: |mesh| (mesh.form == Form::Text).then_some(Mesh { form: Form::Protobuf, ..*mesh }),
    },
    Lever {
        name: "native histograms",
        place: "the pods' template, and Prometheus' command line as for protobuf",
        lines: "prometheus.io/param_histogram_buckets: prometheusnative",
        change: |mesh| (mesh.form != Form::Native).then_some(Mesh { form: Form::Native, ..*mesh }),
    },
    Lever {
        name: "no histograms of sizes",
        place: "the configuration of istio_stats",
        lines: r#"{"metrics": [{"name": "request_bytes", "drop": true}, {"name": "response_bytes", "drop": true}]}"#,
        change: |mesh| (mesh.histograms > 1.0).then_some(Mesh { histograms: 1.0, ..*mesh }),
    },
    Lever {
        name: "fewer buckets",
        place: "stats_config of the bootstrap",
        lines: "histogram_bucket_settings: [{match: {contains: istio_}, buckets: [1, 5, 10, 25, 100, 250, 1000, 5000, 30000, 300000]}]",
        change: |mesh| {
            let saves = mesh.form != Form::Native && mesh.buckets > FEWER_BUCKETS;
            saves.then_some(Mesh { buckets: FEWER_BUCKETS, ..*mesh })
        },
    },
    Lever {
        name: "without app and version",
        place: "the configuration of istio_stats",
        lines: r#"{"metrics": [{"tags_to_remove": ["source_app", "source_version", "destination_app", "destination_version"]}]}"#,
        change: |mesh| Some(Mesh { labels: without(mesh.labels), ..*mesh }),
    },
];

/// By their usual share of all labels' bytes.
fn without(labels: f64) -> f64 {
    labels * usual_labels(&UNUSED) / usual_labels(&[])
}

/// Bytes of labels as they were seen.
pub(crate) fn seen<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> f64 {
    labels.map(|(name, value)| label_bytes(name, value.len())).sum()
}
