//! Which fields a configuration may have, asked of the code that reads them: no
//! list can fall behind it.

use serde_json::{Map, Value};

use super::notes::{Field, Notes};
use super::object::Object;

/// The fields that the object at `path` may have, in the order in which `read`
/// asks for them; none if there is no such object. The number of a list's element
/// may be left out.
pub fn at<T>(path: &str, read: impl FnOnce(&mut Object<'_>) -> T) -> Vec<Field> {
    let root = around(path);
    let mut notes = Notes::default();
    read(&mut Object::new("", &root, &mut notes));
    let is_there = |object: &str| without_numbers(object) == without_numbers(path);
    notes.fields.into_iter().filter(|(object, _)| is_there(object)).map(|(_, field)| field).collect()
}

/// A configuration with nothing but an object at `path`.
fn around(path: &str) -> Map<String, Value> {
    let segments = path.split('.').filter(|segment| !segment.is_empty());
    segments.rev().fold(Map::new(), |inner, segment| {
        let inner = Value::Object(inner);
        let (key, value) = match segment.split_once('[') {
            Some((key, _)) => (key, Value::Array(vec![inner])),
            None => (segment, inner),
        };
        Map::from_iter([(key.to_owned(), value)])
    })
}

fn without_numbers(path: &str) -> String {
    path.replace(|c: char| c.is_ascii_digit(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &str) -> Vec<&'static str> {
        let read = |root: &mut Object<'_>| {
            root.ignore(&["old"]);
            root.boolean("flag");
            root.objects("list", 9, &mut |entry| {
                entry.object("inner", |inner| inner.string("text"));
            });
        };
        let shown = |field: Field| if field.has_effect { field.name } else { "-" };
        at(path, read).into_iter().map(shown).collect()
    }

    #[test]
    fn each_object_has_its_own_fields() {
        assert_eq!(names(""), ["-", "flag", "list"]);
        assert_eq!(names("list[]"), ["inner"]);
        for path in ["list[].inner", "list[3].inner"] {
            assert_eq!(names(path), ["text"], "{path}");
        }
        for nowhere in ["list", "flag", "other", "list[].other"] {
            assert_eq!(names(nowhere), [""; 0], "{nowhere}");
        }
    }
}
