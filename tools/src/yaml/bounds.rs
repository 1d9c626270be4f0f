//! How deep and how large a file may be: whoever builds a tree of it, walks or drops it,
//! calls itself once a level. Aliases count as what they stand for, since that is what
//! they become.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser};

/// As deep as Envoy takes JSON.
const MAX_DEPTH: usize = 100;
/// The dump of a proxy with thousands of upstream clusters has some hundred thousand.
const MAX_VALUES: usize = 1 << 22;

/// How many values a value is, itself included, and how many levels are below it.
#[derive(Clone, Copy)]
struct Extent {
    values: usize,
    height: usize,
}

const ONE: Extent = Extent { values: 1, height: 0 };

/// Reads a file's events, which takes no more stack however deep it is.
///
/// # Errors
/// It is too deep or too large: where, and what. (What is no YAML is the loader's to say.)
pub(super) fn ensure(text: &str) -> Result<(), (Marker, String)> {
    // Lists and maps that are open, with their anchors and what they hold so far.
    let mut open: Vec<(usize, Extent)> = Vec::new();
    let mut anchors: HashMap<usize, Extent> = HashMap::new();
    let mut all = 0usize;
    for (event, span) in Parser::new_from_str(text).map_while(Result::ok) {
        let refuse = |why: String| Err((span.start, why));
        let (anchor, extent) = match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                open.push((anchor, ONE));
                all = all.saturating_add(1);
                if open.len() > MAX_DEPTH {
                    return refuse(format!("nested more than {MAX_DEPTH} levels deep"));
                }
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().unwrap_or((0, ONE)),
            Event::Scalar(_, _, anchor, _) => {
                all = all.saturating_add(1);
                (anchor, ONE)
            }
            Event::Alias(anchor) => {
                let extent = anchors.get(&anchor).copied().unwrap_or(ONE);
                all = all.saturating_add(extent.values);
                if open.len().saturating_add(extent.height) > MAX_DEPTH {
                    return refuse(format!("nested more than {MAX_DEPTH} levels deep, by an alias"));
                }
                (0, extent)
            }
            _ => continue,
        };
        if all > MAX_VALUES {
            return refuse(format!("more than {MAX_VALUES} values, aliases counted as what they stand for"));
        }
        if anchor != 0 {
            anchors.insert(anchor, extent);
        }
        if let Some((_, outer)) = open.last_mut() {
            outer.values = outer.values.saturating_add(extent.values);
            outer.height = outer.height.max(extent.height.saturating_add(1));
        }
    }
    Ok(())
}
