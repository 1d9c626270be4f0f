//! The reader of FlatBuffers against the format's own library, which writes
//! what is read and says what else is valid.

use flatbuffers::{Follow, ForwardsUOffset, VOffsetT, Vector, Verifiable};
use istio_stats::peer::forms::decode;
use istio_stats::peer::metadata::{DecodeError, MAX_ENCODED_BYTES};
use istio_stats::wire::flatbuffer::{Malformed, Table};
use istio_stats::workload::fact::Fact;
use istio_stats::workload::Workload;

pub use crate::fuzz::targets::flat_node::encode as flat_node;
use crate::fuzz::targets::flat_node::slot;
use crate::mutation::each_mutation;

/// Fields of Istio's table, by index.
const NAME: VOffsetT = 0;
const NAMESPACE: VOffsetT = 1;
const LABELS: VOffsetT = 2;
const OWNER: VOffsetT = 3;
const WORKLOAD_NAME: VOffsetT = 4;
const ISTIO_VERSION: VOffsetT = 6;
const MESH_ID: VOffsetT = 7;
const CLUSTER_ID: VOffsetT = 9;

const FACTS: [(VOffsetT, &str); 7] = [
    (NAME, "reviews-v1-abc"),
    (NAMESPACE, "stars"),
    (OWNER, "kubernetes://apis/apps/v1/namespaces/stars/deployments/reviews-v1"),
    (WORKLOAD_NAME, "reviews-v1"),
    (ISTIO_VERSION, "1.16.1"),
    (MESH_ID, "mesh1"),
    (CLUSTER_ID, "west"),
];

const KUBERNETES_LABELS: [(&str, &str); 5] = [
    ("app", "reviews-app"),
    ("pod-template-hash", "54c8f7"),
    ("service.istio.io/canonical-name", "reviews"),
    ("service.istio.io/canonical-revision", "r1"),
    ("version", "v1"),
];

/// A node with every fact, and the workload that it is.
pub fn reviews() -> (Vec<u8>, Workload) {
    let workload = Workload::default()
        .with(Fact::Name, "reviews-v1-abc")
        .with(Fact::Namespace, "stars")
        .with(Fact::Workload, "reviews-v1")
        .with(Fact::ClusterId, "west")
        .with(Fact::MeshId, "mesh1")
        .with(Fact::IstioVersion, "1.16.1")
        .with(Fact::Owner, "kubernetes://apis/apps/v1/namespaces/stars/deployments/reviews-v1")
        .with(Fact::App, "reviews-app")
        .with(Fact::AppVersion, "v1")
        .with(Fact::CanonicalService, "reviews")
        .with(Fact::CanonicalRevision, "r1");
    (flat_node(&FACTS, &KUBERNETES_LABELS), workload)
}

#[derive(Clone, Copy)]
struct Node<'a>(flatbuffers::Table<'a>);

#[derive(Clone, Copy)]
struct Pair<'a>(flatbuffers::Table<'a>);

type Text<'a> = ForwardsUOffset<&'a str>;
type Pairs<'a> = ForwardsUOffset<Vector<'a, ForwardsUOffset<Pair<'a>>>>;

impl<'a> Follow<'a> for Node<'a> {
    type Inner = Self;
    #[expect(unsafe_code, reason = "the library's trait has it so")]
    unsafe fn follow(bytes: &'a [u8], at: usize) -> Self {
        Self(unsafe { flatbuffers::Table::new(bytes, at) })
    }
}

impl<'a> Follow<'a> for Pair<'a> {
    type Inner = Self;
    #[expect(unsafe_code, reason = "the library's trait has it so")]
    unsafe fn follow(bytes: &'a [u8], at: usize) -> Self {
        Self(unsafe { flatbuffers::Table::new(bytes, at) })
    }
}

type Verified = Result<(), flatbuffers::InvalidFlatbuffer>;

impl Verifiable for Node<'_> {
    fn run_verifier(verifier: &mut flatbuffers::Verifier<'_, '_>, at: usize) -> Verified {
        let mut table = verifier.visit_table(at)?;
        for (field, _) in FACTS {
            table = table.visit_field::<Text<'_>>("fact", slot(field), false)?;
        }
        table.visit_field::<Pairs<'_>>("labels", slot(LABELS), false)?.finish();
        Ok(())
    }
}

impl Verifiable for Pair<'_> {
    fn run_verifier(verifier: &mut flatbuffers::Verifier<'_, '_>, at: usize) -> Verified {
        let table = verifier.visit_table(at)?;
        table
            .visit_field::<Text<'_>>("key", slot(0), false)?
            .visit_field::<Text<'_>>("value", slot(1), false)?
            .finish();
        Ok(())
    }
}

type Labels = Vec<(Option<String>, Option<String>)>;
type Contents = (Vec<Option<String>>, Labels);

/// The facts and labels that the format's own library reads, if it finds the
/// bytes valid.
fn reference(bytes: &[u8]) -> Option<Contents> {
    let Node(node) = flatbuffers::root::<Node<'_>>(bytes).ok()?;
    let text = |table: flatbuffers::Table<'_>, field: VOffsetT| {
        #[expect(unsafe_code, reason = "the library's function is; the bytes were verified")]
        let text = unsafe { table.get::<Text<'_>>(slot(field), None) };
        text.map(str::to_owned)
    };
    let facts = FACTS.iter().map(|(field, _)| text(node, *field)).collect();
    #[expect(unsafe_code, reason = "the library's function is; the bytes were verified")]
    let labels = unsafe { node.get::<Pairs<'_>>(slot(LABELS), None) };
    let labels = labels.into_iter().flatten().map(|Pair(pair)| (text(pair, 0), text(pair, 1)));
    Some((facts, labels.collect()))
}

/// The same with our reader.
fn read(bytes: &[u8]) -> Result<Contents, Malformed> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let node = Table::root(bytes)?;
    let facts = FACTS.iter().map(|(field, _)| node.text(usize::from(*field)).map(owned));
    let facts = facts.collect::<Result<_, _>>()?;
    let mut labels = Labels::new();
    while let Some(pair) = node.table(usize::from(LABELS), labels.len())? {
        labels.push((owned(pair.text(0)?), owned(pair.text(1)?)));
    }
    Ok((facts, labels))
}

#[test]
fn what_the_library_writes_is_read() {
    let (bytes, workload) = reviews();
    let contents = reference(&bytes).unwrap();
    assert_eq!(contents.0.len(), FACTS.len());
    assert_eq!(contents.1.len(), KUBERNETES_LABELS.len());
    assert_eq!(read(&bytes), Ok(contents));
    assert_eq!(decode(&bytes), Ok(workload));
}

#[test]
fn every_field_may_be_absent_or_empty() {
    for (field, text) in FACTS {
        for facts in [&[(field, text)] as &[_], &[(field, "")], &[]] {
            for labels in [&KUBERNETES_LABELS as &[_], &[("", "")], &[]] {
                let bytes = flat_node(facts, labels);
                assert_eq!(read(&bytes).ok(), reference(&bytes), "{facts:?} {labels:?}");
            }
        }
    }
    assert_eq!(decode(&flat_node(&[], &[])), Err(DecodeError::Empty));
    assert_eq!(decode(&flat_node(&[(CLUSTER_ID, "")], &[("role", "x")])), Err(DecodeError::Empty));
    // Tables written by an older version end earlier.
    let only = decode(&flat_node(&[(NAME, "web")], &[])).unwrap();
    assert_eq!(only, Workload::default().with(Fact::Name, "web"));
}

/// Cut at every length, and with every bit and every byte changed: what the
/// library finds valid is read as it reads it. (It also finds a table without
/// fields where an offset leads out of the bytes; that one is refused.)
#[test]
fn mutated_tables_are_read_as_the_library_does_or_refused() {
    let (bytes, _) = reviews();
    let mut valid = 0;
    each_mutation(&bytes, |bytes| {
        let ours = read(bytes);
        let is_hollow = |(facts, labels): &Contents| {
            labels.contains(&(None, None)) || (labels.is_empty() && facts.iter().all(Option::is_none))
        };
        if let Some(contents) = reference(bytes).filter(|contents| ours.is_ok() || !is_hollow(contents)) {
            assert_eq!(ours, Ok(contents), "b\"{}\"", bytes.escape_ascii());
            valid += 1;
        }
        let _ = decode(bytes);
    });
    assert!(valid > bytes.len(), "only {valid} of the mutations were valid");
}

#[test]
fn what_is_cut_short_or_leads_outside_is_malformed() {
    let (bytes, _) = reviews();
    assert_eq!(read(b"").err(), Some(Malformed));
    for end in 0..8 {
        assert_eq!(read(&bytes[..end]).err(), Some(Malformed), "{end}");
    }
    for offset in [bytes.len() - 3, bytes.len(), usize::MAX >> 33, usize::MAX >> 32] {
        let mut changed = bytes.clone();
        changed[..4].copy_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
        assert_eq!(read(&changed).err(), Some(Malformed), "{offset}");
    }
    let node = Table::root(&bytes).unwrap();
    assert_eq!(node.text(usize::MAX), Ok(None));
    assert_eq!(node.table(usize::MAX, 0).map(|found| found.is_none()), Ok(true));
    assert_eq!(node.table(usize::from(LABELS), usize::MAX).map(|found| found.is_none()), Ok(true));
}

/// A vector that claims 4 billion tables, all of them the same one.
#[test]
fn a_vector_has_no_more_tables_than_fit() {
    let mut bytes = vec![0; MAX_ENCODED_BYTES];
    let last = bytes.len() - 4;
    let mut write = |at: usize, numbers: &[u8]| bytes[at..at + numbers.len()].copy_from_slice(numbers);
    write(0, &[20, 0, 0, 0]);
    // Two vtables, of a table with labels only and of one with nothing.
    write(4, &[10, 0, 8, 0, 0, 0, 0, 0, 4, 0]);
    write(14, &[4, 0, 4, 0]);
    write(20, &[16, 0, 0, 0, 4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    for at in (32..last).step_by(4) {
        write(at, &u32::try_from(last - at).unwrap().to_le_bytes());
    }
    write(last, &u32::try_from(last - 14).unwrap().to_le_bytes());
    let node = Table::root(&bytes).unwrap();
    let found = (0..).take_while(|index| matches!(node.table(usize::from(LABELS), *index), Ok(Some(_))));
    assert_eq!(found.count(), (last - 32) / 4);
    assert_eq!(decode(&bytes), Err(DecodeError::FlatBuffer));
}

#[test]
fn what_is_longer_than_the_cap_is_not_looked_at() {
    let mut bytes = flat_node(&FACTS, &[("note", &"x".repeat(MAX_ENCODED_BYTES))]);
    assert_eq!(decode(&bytes), Err(DecodeError::TooLarge));
    assert!(read(&bytes).is_ok());
    bytes = flat_node(&FACTS, &[("note", &"x".repeat(MAX_ENCODED_BYTES / 3))]);
    assert!(decode(&bytes).is_ok());
}

#[test]
fn forward_offsets_to_the_vtable_are_followed_too() {
    // Table at 4, its vtable behind it at 12, one text at 20.
    let bytes = b"\x04\0\0\0\xf8\xff\xff\xff\x0c\0\0\0\x06\0\x08\0\x04\0\0\0\x02\0\0\0hi";
    let table = Table::root(bytes).unwrap();
    assert_eq!(table.text(0), Ok(Some("hi")));
}
