//! A workload's facts as label values, cleaned once.

use crate::catalogue::label_value::{LabelValue, UNKNOWN};
use crate::workload::Workload;

/// What the labels of one side say about its workload; `None` is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkloadLabels {
    /// Name of the workload (a deployment, say).
    pub workload: Option<LabelValue>,
    /// Its Kubernetes namespace.
    pub namespace: Option<LabelValue>,
    /// Kubernetes cluster it runs in, byte for byte as its proxy says it.
    pub cluster_id: Option<LabelValue>,
    /// Application it is part of.
    pub app: Option<LabelValue>,
    /// Version of that application.
    pub app_version: Option<LabelValue>,
    /// The canonical service its Kubernetes label names.
    pub canonical_service: Option<LabelValue>,
    /// The canonical revision its Kubernetes label names.
    pub canonical_revision: Option<LabelValue>,
}

// === impl WorkloadLabels ===

impl WorkloadLabels {
    /// Cleans the facts of a workload.
    pub fn new(workload: &Workload) -> Self {
        let clean = |value: &Option<String>| value.as_deref().and_then(LabelValue::clean_str);
        Self {
            workload: clean(&workload.workload_name),
            namespace: clean(&workload.namespace),
            cluster_id: clean(&workload.cluster_id),
            app: clean(&workload.app),
            app_version: clean(&workload.app_version),
            canonical_service: clean(&workload.canonical_service),
            canonical_revision: clean(&workload.canonical_revision),
        }
    }

    /// The canonical service, or else the workload itself, as one of its own.
    pub fn canonical_service_or_workload(&self) -> &str {
        or(&self.canonical_service, or(&self.workload, UNKNOWN))
    }
}

/// The value, or else `missing`.
pub fn or<'a>(value: &'a Option<LabelValue>, missing: &'a str) -> &'a str {
    value.as_ref().map_or(missing, LabelValue::as_str)
}
