//! What a peer claims to be: any header is a workload or a refusal, and what was
//! understood can be told on without a change.

use istio_stats::peer::cache::{Decoded, PeerCache};
use istio_stats::peer::metadata::{self, DecodeError, MAX_ENCODED_BYTES};
use istio_stats::peer::{endpoint, forms};
use istio_stats::workload::labels::WorkloadLabels;
use istio_stats::workload::{Workload, MAX_FACT_BYTES};

pub fn run(data: &[u8]) {
    check(data);
    // Past the base64, which few mutations survive.
    check(metadata::to_header(data).as_bytes());
    if let Some(labels) = endpoint::decode(data) {
        assert!(data.iter().filter(|byte| **byte == b';').count() >= 4, "{labels:?}");
    }
}

fn check(header: &[u8]) {
    let decoded = metadata::decode(header);
    match &decoded {
        Ok(workload) => {
            check_size(workload);
            let again = metadata::encode(workload);
            assert!(again.len() <= MAX_ENCODED_BYTES);
            assert_eq!(metadata::decode(again.as_bytes()), decoded);
        }
        Err(error) => assert!(*error == DecodeError::TooLarge || header.len() <= MAX_ENCODED_BYTES),
    }
    // Whatever can be a header is one, and not another form of what a peer tells.
    if !header.iter().any(u8::is_ascii_control) {
        assert_eq!(forms::decode(header), decoded);
    }
    let expected = match forms::decode(header) {
        Ok(workload) => Decoded::Workload(WorkloadLabels::new(&workload).into()),
        Err(error) => Decoded::Failed(error.reason()),
    };
    let mut cache = PeerCache::default();
    for _ in 0..2 {
        assert_eq!(cache.exchanged(header), expected);
    }
}

pub fn check_size(workload: &Workload) {
    for (_, key, fact) in workload.entries() {
        assert!((1..=MAX_FACT_BYTES).contains(&fact.len()), "{key}: {fact:?}");
    }
}
