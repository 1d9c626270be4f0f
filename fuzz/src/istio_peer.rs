//! Peers in the forms that Istio has left them in: any bytes are a workload or
//! a refusal, and one workload is the same in every form.

use istio_stats::host::fake;
use istio_stats::peer::forms::{decode, gather};
use istio_stats::peer::metadata::{self, DecodeError, MAX_ENCODED_BYTES};
use istio_stats::peer::side::Side;
use istio_stats::wire::structs;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::further::Further;
use istio_stats::workload::Workload;

use super::flat_node;
use super::input::Input;
use super::peer_header::check_size;

/// A fact's key in node metadata, its field in the FlatBuffers table and in the
/// object.
const FACTS: [(&str, u16, &str); 7] = [
    ("NAME", 0, "name"),
    ("NAMESPACE", 1, "namespace"),
    ("OWNER", 3, ""),
    ("WORKLOAD_NAME", 4, "workload"),
    ("ISTIO_VERSION", 6, ""),
    ("MESH_ID", 7, ""),
    ("CLUSTER_ID", 9, "cluster"),
];

/// Kubernetes labels, and the fields that the object has for them.
const LABELS: [(&str, &str); 8] = [
    ("app", "app"),
    ("app.kubernetes.io/name", ""),
    ("app.kubernetes.io/version", ""),
    ("service.istio.io/canonical-name", "service"),
    ("service.istio.io/canonical-revision", "revision"),
    ("version", "version"),
    ("cluster", ""),
    ("NAMESPACE", ""),
];

pub fn run(data: &[u8]) {
    match decode(data) {
        Ok(workload) => {
            check_size(&workload);
            assert!(data.len() <= MAX_ENCODED_BYTES);
            assert_eq!(decode(&metadata::encode_struct(&workload)), Ok(workload));
        }
        Err(error) => assert!(error == DecodeError::TooLarge || data.len() <= MAX_ENCODED_BYTES),
    }
    let mut input = Input(data);
    let mut texts = || core::str::from_utf8(input.bytes()).unwrap_or_default();
    check_forms(FACTS.map(|_| texts()), LABELS.map(|_| texts()));
}

fn check_forms(facts: [&str; FACTS.len()], labels: [&str; LABELS.len()]) {
    let facts = FACTS.into_iter().zip(facts).filter(|(_, text)| !text.is_empty());
    let labels = LABELS.into_iter().zip(labels).filter(|(_, text)| !text.is_empty());

    let mut nested = Vec::new();
    labels.clone().for_each(|((key, _), text)| structs::put_text(&mut nested, key, text));
    let mut node_metadata = Vec::new();
    structs::put_struct(&mut node_metadata, "LABELS", &nested);
    facts.clone().for_each(|((key, ..), text)| structs::put_text(&mut node_metadata, key, text));
    let expected = metadata::decode(metadata::to_header(&node_metadata).as_bytes());
    assert_eq!(decode(&node_metadata), expected);

    let fields: Vec<_> = facts.clone().map(|((_, field, _), text)| (field, text)).collect();
    let pairs: Vec<_> = labels.clone().map(|((key, _), text)| (key, text)).collect();
    let flat_node = flat_node::encode(&fields, &pairs);
    if flat_node.len() <= MAX_ENCODED_BYTES {
        assert_eq!(decode(&flat_node), expected);
    }

    // The object knows neither owner nor mesh nor version.
    let told = expected.unwrap_or_default().with(Fact::Owner, "").with(Fact::MeshId, "");
    let told = told.with(Fact::IstioVersion, "");
    let told = Some(told).filter(|told| *told != Workload::default()).ok_or(DecodeError::Empty);
    let of_object = facts.map(|((.., field), text)| (field, text)).filter(|(field, _)| !field.is_empty());
    let (of_fields, nested): (Vec<_>, Vec<_>) = labels.partition(|((_, field), _)| !field.is_empty());
    let of_fields = of_fields.into_iter().map(|((_, field), text)| (field, text));
    let of_object: Vec<_> = of_object.chain(of_fields).collect();
    let entry = |(key, text): (&str, &str)| (key.as_bytes().to_vec(), text.as_bytes().to_vec());
    let nested: Vec<_> = nested.into_iter().map(|((key, _), text)| entry((key, text))).collect();
    let with_labels =
        of_object.iter().copied().map(entry).chain([(b"labels".to_vec(), fake::pairs(&nested))]);
    assert_eq!(decode(&fake::pairs(&with_labels.collect::<Vec<_>>())), told);

    let read = |field: &str| {
        let (_, text) = of_object.iter().find(|(known, _)| *known == field)?;
        Some(text.as_bytes().to_vec())
    };
    check_gathered(&gather(Side::Upstream, &Further::default(), read), &of_object);
}

/// Of the object's fields those that become labels are read.
fn check_gathered(gathered: &[u8], of_object: &[(&str, &str)]) {
    let mut expected = Vec::new();
    let mut fields: Vec<_> = of_object.iter().filter(|(field, _)| *field != "name").collect();
    fields.sort_unstable();
    fields.iter().for_each(|(field, text)| structs::put_text(&mut expected, field, text));
    assert_eq!(gathered, expected);
}
