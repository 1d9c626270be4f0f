//! Writes Istio's FlatBuffers table with the format's own library.

use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, TableFinishedWIPOffset, VOffsetT, Vector, WIPOffset};

/// Fields of the table that are no texts.
const LABELS: VOffsetT = 2;
const PLATFORM_METADATA: VOffsetT = 5;
const APP_CONTAINERS: VOffsetT = 8;

/// Where a field's place stands in a vtable.
pub fn slot(field: VOffsetT) -> VOffsetT {
    4 + 2 * field
}

type Finished<'a> = WIPOffset<Vector<'a, ForwardsUOffset<TableFinishedWIPOffset>>>;

fn write_pairs<'a>(builder: &mut FlatBufferBuilder<'a>, pairs: &[(&str, &str)]) -> Finished<'a> {
    let mut write = |(key, value): &(&str, &str)| {
        let (key, value) = (builder.create_string(key), builder.create_string(value));
        let table = builder.start_table();
        builder.push_slot_always(slot(0), key);
        builder.push_slot_always(slot(1), value);
        builder.end_table(table)
    };
    let tables: Vec<_> = pairs.iter().map(&mut write).collect();
    builder.create_vector(&tables)
}

/// A node as Istio 1.6 to 1.23 write it.
pub fn encode(facts: &[(VOffsetT, &str)], labels: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let labels = write_pairs(&mut builder, labels);
    let platform = write_pairs(&mut builder, &[("zone", "a")]);
    let containers = [builder.create_string("reviews")];
    let containers = builder.create_vector(&containers);
    let facts: Vec<_> = facts.iter().map(|(field, text)| (*field, builder.create_string(text))).collect();
    let table = builder.start_table();
    for (field, text) in facts {
        builder.push_slot_always(slot(field), text);
    }
    builder.push_slot_always(slot(LABELS), labels);
    builder.push_slot_always(slot(PLATFORM_METADATA), platform);
    builder.push_slot_always(slot(APP_CONTAINERS), containers);
    let node = builder.end_table(table);
    builder.finish(node, None);
    builder.finished_data().to_vec()
}
