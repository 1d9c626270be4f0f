//! Endpoint metadata: what Istio writes about the workload behind an upstream
//! host. It is there without any exchange, also when no response comes.

use crate::catalogue::label_value::LabelValue;
use crate::workload::labels::WorkloadLabels;

/// Decodes `workload;namespace;canonical service;canonical revision;cluster`.
/// Empty fields are absent; fewer than five fields are no endpoint metadata,
/// further ones are ignored. An east-west gateway's endpoint is `;;;;cluster`.
///
/// ```
/// # use istio_stats::peer::endpoint::decode;
/// let labels = decode(b"reviews-v1;shop;reviews;v1;west").unwrap();
/// assert_eq!(labels.cluster_id.unwrap().as_str(), "west");
/// assert!(decode(b"reviews-v1;shop;reviews;v1").is_none());
/// ```
pub fn decode(text: &[u8]) -> Option<WorkloadLabels> {
    let mut fields = text.split(|byte| *byte == b';');
    let mut next = || fields.next().map(|field| LabelValue::clean(field.to_vec()));
    let labels = WorkloadLabels {
        workload: next()?,
        namespace: next()?,
        canonical_service: next()?,
        canonical_revision: next()?,
        cluster_id: next()?,
        app: None,
        app_version: None,
    };
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_endpoint_knows_only_its_cluster() {
        let cluster_id = LabelValue::clean_str("west");
        let expected = WorkloadLabels { cluster_id, ..WorkloadLabels::default() };
        assert_eq!(decode(b";;;;west"), Some(expected.clone()));
        assert_eq!(decode(b";;;;west;more"), Some(expected));
        assert_eq!(decode(b";;;"), None);
        assert_eq!(decode(b""), None);
    }
}
