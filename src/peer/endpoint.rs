//! Endpoint metadata: what Istio writes about the workload behind an upstream
//! host. It is there without any exchange, also when no response comes.

use crate::catalogue::label_value::LabelValue;
use crate::workload::fact::Fact;
use crate::workload::labels::WorkloadLabels;

/// Decodes `workload;namespace;canonical service;canonical revision;cluster`.
/// Empty fields are absent; fewer than five fields are no endpoint metadata,
/// further ones are ignored. An east-west gateway's endpoint is `;;;;cluster`.
///
/// ```
/// # use istio_stats::peer::endpoint::decode;
/// use istio_stats::workload::fact::Fact;
/// let labels = decode(b"reviews-v1;shop;reviews;v1;west").unwrap();
/// assert_eq!(labels.shown(Fact::ClusterId), "west");
/// assert!(decode(b"reviews-v1;shop;reviews;v1").is_none());
/// ```
pub fn decode(text: &[u8]) -> Option<WorkloadLabels> {
    let field = |position: usize| text.split(|byte| *byte == b';').nth(position);
    let positions = || Fact::ALL.into_iter().filter_map(|fact| fact.row().endpoint);
    if positions().any(|position| field(position).is_none()) {
        return None;
    }
    Some(WorkloadLabels::of(|fact| LabelValue::clean(field(fact.row().endpoint?)?.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_endpoint_knows_only_its_cluster() {
        let west = |fact| LabelValue::clean_str("west").filter(|_| fact == Fact::ClusterId);
        let expected = WorkloadLabels::of(west);
        assert_eq!(decode(b";;;;west"), Some(expected.clone()));
        assert_eq!(decode(b";;;;west;more"), Some(expected));
        assert_eq!(decode(b";;;"), None);
        assert_eq!(decode(b""), None);
    }
}
