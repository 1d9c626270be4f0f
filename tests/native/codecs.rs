//! Every decoder of foreign bytes, against an independent encoder, and with
//! input cut short or changed at every place.

use std::collections::BTreeMap;

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use base64::Engine;
use istio_stats::host::fake::pairs;
use istio_stats::peer::metadata::{decode, encode, DecodeError, MAX_ENCODED_BYTES, TOO_LARGE};
use istio_stats::wire::pairs::{Pairs, MAX_ENTRIES};
use istio_stats::wire::proto::{put_field, Malformed, Message};
use istio_stats::wire::structs::number_text;
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

use crate::mutation::each_mutation;

fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Value {
    value(Kind::StringValue(text.to_owned()))
}

fn structure<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Struct {
    let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value));
    Struct { fields: fields.collect() }
}

fn base64(message: &Struct) -> Vec<u8> {
    STANDARD.encode(message.encode_to_vec()).into_bytes()
}

/// What a sidecar of Istio sends: all our keys, keys we do not read, and values
/// that are no text.
fn istio_metadata() -> Struct {
    let labels = structure([
        ("app", text("reviews")),
        ("pod-template-hash", text("54c8f7")),
        ("service.istio.io/canonical-name", text("reviews")),
        ("service.istio.io/canonical-revision", text("v2")),
        ("version", text("v2")),
    ]);
    let ports = ListValue { values: vec![value(Kind::NumberValue(9080.0)), value(Kind::NullValue(0))] };
    structure([
        ("APP_CONTAINERS", text("reviews")),
        ("CLUSTER_ID", text("west")),
        ("INSTANCE_IPS", text("10.0.0.2")),
        ("LABELS", value(Kind::StructValue(labels))),
        ("MESH_ID", text("mesh1")),
        ("NAME", text("reviews-v2-54c8f7-x")),
        ("NAMESPACE", text("books")),
        ("OWNER", text("kubernetes://apis/apps/v1/namespaces/books/deployments/reviews-v2")),
        ("PLATFORM_METADATA", value(Kind::StructValue(structure([("zone", text("a"))])))),
        ("PORTS", value(Kind::ListValue(ports))),
        ("PROXY", value(Kind::BoolValue(true))),
        ("WORKLOAD_NAME", text("reviews-v2")),
    ])
}

/// The Kubernetes labels that are told.
const LABEL_KEYS: [&str; 6] = [
    "app",
    "app.kubernetes.io/name",
    "app.kubernetes.io/version",
    "service.istio.io/canonical-name",
    "service.istio.io/canonical-revision",
    "version",
];

fn with_labels(mut workload: Workload, value: impl Fn(&str) -> Option<String>) -> Workload {
    for key in LABEL_KEYS {
        *workload.label(key.as_bytes()).unwrap() = value(key);
    }
    workload
}

fn istio_workload() -> Workload {
    Workload::default()
        .with(Fact::Name, "reviews-v2-54c8f7-x")
        .with(Fact::Namespace, "books")
        .with(Fact::Workload, "reviews-v2")
        .with(Fact::ClusterId, "west")
        .with(Fact::MeshId, "mesh1")
        .with(Fact::Owner, "kubernetes://apis/apps/v1/namespaces/books/deployments/reviews-v2")
        .with(Fact::App, "reviews")
        .with(Fact::AppVersion, "v2")
        .with(Fact::CanonicalService, "reviews")
        .with(Fact::CanonicalRevision, "v2")
}

/// A full workload, so that an encoder cannot leave anything out unseen.
fn full_workload() -> Workload {
    with_labels(istio_workload(), |key| Some(format!("value of {key}")))
}

/// Decodes as our decoder should, with a complete protobuf library.
fn reference(encoded: &[u8]) -> Option<Workload> {
    let message = Struct::decode(STANDARD.decode(encoded).ok()?.as_slice()).ok()?;
    let read = |fields: &BTreeMap<String, Value>, key: &str| match fields.get(key)?.kind.as_ref()? {
        Kind::StringValue(text) if !text.is_empty() => Some(text.clone()),
        Kind::NumberValue(number) if number.is_finite() => number_text(*number),
        Kind::BoolValue(flag) => Some(flag.to_string()),
        _ => None,
    };
    let mut workload = Workload::default();
    for key in ["NAME", "NAMESPACE", "WORKLOAD_NAME", "CLUSTER_ID", "MESH_ID", "OWNER"] {
        *workload.entry(key.as_bytes()).unwrap() = read(&message.fields, key);
    }
    if let Some(Kind::StructValue(labels)) =
        message.fields.get("LABELS").and_then(|value| value.kind.as_ref())
    {
        workload = with_labels(workload, |key| read(&labels.fields, key));
    }
    Some(workload).filter(|workload| *workload != Workload::default())
}

// === Peer metadata ===

#[test]
fn istios_metadata_is_understood() {
    let encoded = base64(&istio_metadata());
    assert_eq!(decode(&encoded), Ok(istio_workload()));
    assert_eq!(reference(&encoded), Some(istio_workload()));
    let unpadded = STANDARD_NO_PAD.encode(istio_metadata().encode_to_vec());
    assert_ne!(unpadded.as_bytes(), encoded, "the sample needs padding");
    assert_eq!(decode(unpadded.as_bytes()), Ok(istio_workload()));
}

#[test]
fn numbers_and_booleans_of_a_peer_are_what_a_person_would_have_written() {
    let labels =
        structure([("version", value(Kind::NumberValue(1.1))), ("app", value(Kind::BoolValue(true)))]);
    let encoded = base64(&structure([
        ("CLUSTER_ID", value(Kind::NumberValue(1.0))),
        ("LABELS", value(Kind::StructValue(labels))),
        ("NAMESPACE", value(Kind::NumberValue(f64::NAN))),
        ("WORKLOAD_NAME", value(Kind::BoolValue(false))),
    ]));
    let expected = Workload::default()
        .with(Fact::ClusterId, "1")
        .with(Fact::AppVersion, "1.1")
        .with(Fact::App, "true")
        .with(Fact::Workload, "false");
    assert_eq!(decode(&encoded), Ok(expected.clone()));
    assert_eq!(reference(&encoded), Some(expected));
}

#[test]
fn what_is_encoded_reads_back_here_and_elsewhere() {
    for workload in [full_workload(), istio_workload()] {
        let encoded = encode(&workload);
        assert_eq!(decode(encoded.as_bytes()), Ok(workload.clone()));
        assert_eq!(reference(encoded.as_bytes()), Some(workload));
    }
}

#[test]
fn encoding_is_deterministic_protobuf_in_padded_base64() {
    let encoded = encode(&full_workload());
    assert_eq!(encoded.len() % 4, 0);
    let bytes = STANDARD.decode(&encoded).unwrap();
    // The library's maps are sorted, which is what deterministic means.
    assert_eq!(Struct::decode(bytes.as_slice()).unwrap().encode_to_vec(), bytes);
}

#[test]
fn absent_facts_are_left_out() {
    assert_eq!(encode(&Workload::default()), "");
    let workload = Workload::default().with(Fact::ClusterId, "east");
    let bytes = STANDARD.decode(encode(&workload)).unwrap();
    assert_eq!(Struct::decode(bytes.as_slice()).unwrap(), structure([("CLUSTER_ID", text("east"))]));
}

#[test]
fn a_full_workload_of_long_facts_stays_below_the_cap() {
    let long = "x".repeat(256);
    let workload =
        Fact::ALL.into_iter().fold(Workload::default(), |workload, fact| workload.with(fact, &long));
    let encoded = encode(&with_labels(workload, |_| Some(long.clone())));
    assert!(encoded.len() < MAX_ENCODED_BYTES, "{}", encoded.len());
}

#[test]
fn each_kind_of_bad_metadata_has_its_reason() {
    let no_facts = base64(&structure([("UNKNOWN_KEY", text("x")), ("NAME", value(Kind::NullValue(0)))]));
    let empty_fact = base64(&structure([("NAME", text(""))]));
    let mut cut_short = istio_metadata().encode_to_vec();
    cut_short.pop();
    for (encoded, error, reason) in [
        (vec![], DecodeError::Empty, "empty"),
        (no_facts, DecodeError::Empty, "empty"),
        (empty_fact, DecodeError::Empty, "empty"),
        (b"not base64!".to_vec(), DecodeError::Base64, "base64"),
        (b"CgA\xff".to_vec(), DecodeError::Base64, "base64"),
        (STANDARD.encode(cut_short).into_bytes(), DecodeError::Protobuf, "protobuf"),
        (STANDARD.encode(b"\x0b\x0c").into_bytes(), DecodeError::Protobuf, "protobuf"),
        (vec![b'A'; 60_000], DecodeError::TooLarge, "too_large"),
        (TOO_LARGE.to_vec(), DecodeError::TooLarge, "too_large"),
    ] {
        let excerpt = String::from_utf8_lossy(&encoded[..encoded.len().min(40)]).into_owned();
        assert_eq!(decode(&encoded), Err(error), "{excerpt}");
        assert_eq!(error.reason(), reason);
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn the_cap_is_exact() {
    let of_length = |encoded_bytes: usize| {
        let padding = "x".repeat(encoded_bytes / 4 * 3 - 32);
        let mut message = structure([("NAME", text("web")), ("PAD", text(&padding))]);
        while base64(&message).len() < encoded_bytes {
            let Some(Kind::StringValue(padding)) = &mut message.fields.get_mut("PAD").unwrap().kind else {
                panic!("a text")
            };
            padding.push('x');
        }
        base64(&message)
    };
    assert_eq!(of_length(MAX_ENCODED_BYTES).len(), MAX_ENCODED_BYTES);
    assert_eq!(decode(&of_length(MAX_ENCODED_BYTES)).unwrap().get(Fact::Name), Some("web"));
    assert_eq!(decode(&of_length(MAX_ENCODED_BYTES + 4)), Err(DecodeError::TooLarge));
}

#[test]
fn invalid_utf8_and_separators_do_no_harm() {
    let mut name = Vec::new();
    put_field(&mut name, 3, b"a\xff");
    let mut entry = Vec::new();
    put_field(&mut entry, 1, b"NAME");
    put_field(&mut entry, 2, &name);
    let mut message = Vec::new();
    put_field(&mut message, 1, &entry);
    assert_eq!(decode(STANDARD.encode(&message).as_bytes()), Err(DecodeError::Protobuf));
    // A text is a text: whoever puts it into a stat name cleans it.
    let evil = "x;.;reporter=.=y\u{0}";
    let encoded = base64(&structure([("NAME", text(evil))]));
    assert_eq!(decode(&encoded).unwrap().get(Fact::Name), Some(evil));
    let long = base64(&structure([("NAME", text(&"€".repeat(500)))]));
    assert_eq!(decode(&long).unwrap().get(Fact::Name), Some(&*"€".repeat(85)));
}

#[test]
fn deep_nesting_costs_nothing() {
    // Structs in structs, as many as the cap has room for.
    let mut nested = Vec::new();
    let mut depth = 0;
    while nested.len() < MAX_ENCODED_BYTES / 4 * 3 - 200 {
        let mut as_value = Vec::new();
        put_field(&mut as_value, 5, &nested);
        let mut entry = Vec::new();
        put_field(&mut entry, 1, b"LABELS");
        put_field(&mut entry, 2, &as_value);
        nested.clear();
        put_field(&mut nested, 1, &entry);
        depth += 1;
    }
    assert!(depth > 300, "{depth}");
    assert_eq!(decode(STANDARD.encode(&nested).as_bytes()), Err(DecodeError::Empty));
    let name = structure([("NAME", text("web"))]).encode_to_vec();
    nested.extend(name);
    let workload = decode(STANDARD.encode(&nested).as_bytes()).unwrap();
    assert_eq!(workload.get(Fact::Name), Some("web"));
}

#[test]
fn the_last_of_two_fields_counts() {
    let twice = [("NAME", "first"), ("NAME", "second")]
        .map(|(key, name)| structure([(key, text(name))]).encode_to_vec());
    let encoded = STANDARD.encode(twice.concat());
    assert_eq!(decode(encoded.as_bytes()).unwrap().get(Fact::Name), Some("second"));
    assert_eq!(reference(encoded.as_bytes()).unwrap().get(Fact::Name), Some("second"));
}

#[test]
fn mutated_metadata_decodes_as_a_protobuf_library_does_or_not_at_all() {
    let bytes = istio_metadata().encode_to_vec();
    let (mut agreed, mut refused) = (0, 0);
    each_mutation(&bytes, |bytes| {
        let encoded = STANDARD.encode(bytes);
        match (decode(encoded.as_bytes()).ok(), reference(encoded.as_bytes())) {
            (ours, Some(theirs)) => {
                assert_eq!(ours, Some(theirs), "{}", bytes.escape_ascii());
                agreed += 1;
            }
            // They also check what nobody reads.
            (_, None) => refused += 1,
        }
    });
    assert!(agreed > 1000 && refused > 100, "{agreed} {refused}");
    each_mutation(encode(&full_workload()).as_bytes(), |encoded| drop(decode(encoded)));
}

// === Protobuf ===

#[test]
fn scalars_are_passed_over() {
    // 1: varint, 2: fixed64, 3: "x", 4: fixed32, 5: the largest varint, 6: "".
    let mut bytes = b"\x08\x96\x01\x11\0\0\0\0\0\0\0\0\x1a\x01x\x25\0\0\0\0\x28".to_vec();
    bytes.extend(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x32\x00");
    let mut message = Message::new(&bytes);
    assert_eq!(message.next_field(), Ok(Some((3, &b"x"[..]))));
    assert_eq!(message.next_field(), Ok(Some((6, &b""[..]))));
    assert_eq!(message.next_field(), Ok(None));
}

#[test]
fn what_is_no_message_is_malformed() {
    for bytes in [
        &b"\x0a"[..],                                          // no length
        b"\x0a\x02x",                                          // too short
        b"\x0a\xff\xff\xff\xff\x0f",                           // 4 GiB
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",       // 16 EiB
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",       // more than 64 bits
        b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",       // the same, passed over
        b"\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\0", // eleven bytes
        b"\x02\x00",                                           // field 0
        b"\x0b\x0c",                                           // a group
        b"\x0e\x00",                                           // no such kind
        b"\x09\0\0\0\0\0\0\0",                                 // half a fixed64
        b"\x80\x80\x80\x80\x80\x10\x00",                       // field number of 33 bits
        b"\x80",                                               // half a number
    ] {
        let mut message = Message::new(bytes);
        assert_eq!(message.next_field(), Err(Malformed), "{}", bytes.escape_ascii());
    }
}

#[test]
fn fields_of_every_length_round_trip() {
    for length in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
        let content = vec![b'x'; length];
        let mut bytes = Vec::new();
        put_field(&mut bytes, 15, &content);
        put_field(&mut bytes, 16, b"end");
        let mut message = Message::new(&bytes);
        assert_eq!(message.next_field(), Ok(Some((15, &content[..]))));
        assert_eq!(message.next_field(), Ok(Some((16, &b"end"[..]))));
    }
}

// === Pairs ===

fn sample_pairs() -> Vec<(Vec<u8>, Vec<u8>)> {
    [("app", "web"), ("", ""), ("version", ""), ("nul\0in", "va\0lue"), ("app", "second")]
        .map(|(key, value)| (key.into(), value.into()))
        .to_vec()
}

#[test]
fn the_hosts_maps_are_read() {
    let sample = sample_pairs();
    let bytes = pairs(&sample);
    let read = Pairs::parse(&bytes).unwrap();
    let entries: Vec<_> = read.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert_eq!(entries, sample);
    assert_eq!(read.get(b"app"), Some(&b"web"[..]));
    assert_eq!(read.get(b"version"), Some(&b""[..]));
    assert_eq!(read.get(b"missing"), None);
    let nothing = pairs(&[]);
    assert_eq!(Pairs::parse(&nothing).unwrap().into_iter().count(), 0);
}

#[test]
fn maps_cut_short_or_changed_are_no_maps_or_hold_what_is_there() {
    let bytes = pairs(&sample_pairs());
    for end in 0..bytes.len() {
        assert_eq!(Pairs::parse(&bytes[..end]), None, "{end}");
    }
    let mut maps = 0;
    each_mutation(&bytes, |bytes| {
        if let Some(read) = Pairs::parse(bytes) {
            let held: usize = read.iter().map(|(key, value)| key.len() + value.len()).sum();
            assert!(held <= bytes.len());
            maps += 1;
        }
    });
    assert!(maps > 1, "no change left a map");
}

#[test]
fn keys_and_values_end_in_a_nul() {
    let bytes = pairs(&[(b"k".to_vec(), b"v".to_vec())]);
    assert!(Pairs::parse(&bytes).is_some());
    for at in [bytes.len() - 3, bytes.len() - 1] {
        let mut changed = bytes.clone();
        assert_eq!(changed[at], 0);
        changed[at] = b'x';
        assert_eq!(Pairs::parse(&changed), None, "{at}");
    }
}

#[test]
fn maps_that_claim_too_much_are_refused() {
    let of = |count: u32| count.to_le_bytes().to_vec();
    assert_eq!(Pairs::parse(&of(u32::MAX)), None);
    assert_eq!(Pairs::parse(&of(1 << 29)), None);
    assert_eq!(Pairs::parse(&[of(1), of(u32::MAX), of(u32::MAX)].concat()), None);
    let many = |n: usize| pairs(&vec![(vec![], vec![]); n]);
    assert!(Pairs::parse(&many(MAX_ENTRIES)).is_some());
    assert_eq!(Pairs::parse(&many(MAX_ENTRIES + 1)), None);
}
