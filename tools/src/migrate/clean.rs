//! Takes out of a configuration what the plugin would not follow, and notes it.

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::metric::Metric;
use serde_json::{Map, Value};

use super::intent::Config;
use super::notes::Notes;
use crate::check::{self, Said};
use crate::istio_metrics::attachment_of;

/// Takes it out.
pub(super) fn clean(config: &mut Config, attachment: Attachment, place: &str, notes: &mut Notes) {
    if let Some(Value::Array(entries)) = config.get_mut("metrics") {
        entries.iter_mut().for_each(|entry| remove_bad_labels(entry, place, notes));
    }
    // What says nothing needs no note.
    tidy(config, attachment);
    // Each round takes something out, or ends.
    loop {
        let bytes = Value::Object(config.clone()).to_string().into_bytes();
        let said = check::said_of(bytes, attachment);
        let Some(error) = said.iter().find(|said| !said.is_followed || is_idle(said)) else {
            said.iter().for_each(|said| notes.add_once(place, &said.text));
            break;
        };
        if !remove(config, &error.path) {
            break;
        }
        notes.add_once(place, &format!("left out: {}", error.text));
    }
    tidy(config, attachment);
}

/// To leave out a label that there is not comes to nothing.
fn is_idle(said: &Said) -> bool {
    said.path.contains(".tags_to_remove[")
}

/// The plugin speaks of the labels of an entry as a whole.
fn remove_bad_labels(entry: &mut Value, place: &str, notes: &mut Notes) {
    let Some(labels) = entry.get_mut("dimensions").and_then(Value::as_object_mut) else {
        return;
    };
    labels.retain(|label, _| {
        let starts = label.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let is_name = starts && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            notes.add_once(place, &format!("left out: {label:?} is no label name (letters, digits, _)"));
        }
        is_name
    });
}

/// Removes the value at a JSON path; the whole element of a list if it is what the
/// element stands for. `false`: there is none.
fn remove(config: &mut Config, path: &str) -> bool {
    let (list, rest) = path.split_once('[').unwrap_or((path, ""));
    let Some((index, field)) = rest.split_once(']') else {
        return match path.split_once('.') {
            Some((object, field)) => config
                .get_mut(object)
                .and_then(Value::as_object_mut)
                .is_some_and(|inner| inner.remove(field).is_some()),
            None => config.remove(path).is_some(),
        };
    };
    let Some((index, elements)) = index.parse().ok().zip(config.get_mut(list).and_then(Value::as_array_mut))
    else {
        return false;
    };
    let mut steps = field.trim_start_matches('.').splitn(2, ['.', '[']);
    let (field, inner) = (steps.next().unwrap_or_default(), steps.next());
    let Some(element) = elements.get_mut(index).and_then(Value::as_object_mut) else {
        return index < elements.len() && {
            elements.remove(index);
            true
        };
    };
    match (element.get_mut(field), inner) {
        (Some(Value::Object(fields)), Some(key)) => fields.remove(key).is_some(),
        (Some(Value::Array(list)), Some(index)) => {
            let index = index.trim_end_matches(']').parse().ok().filter(|index| *index < list.len());
            index.map(|index: usize| list.remove(index)).is_some()
        }
        (Some(_), _) if !matches!(field, "name" | "match" | "value" | "type") => {
            element.remove(field).is_some()
        }
        _ => {
            elements.remove(index);
            true
        }
    }
}

/// Removes what says nothing here.
fn tidy(config: &mut Config, attachment: Attachment) {
    let is_empty = |value: &Value| match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Bool(flag) => !flag,
        Value::String(text) => text.is_empty(),
        _ => false,
    };
    if let Some(Value::Array(entries)) = config.get_mut("metrics") {
        let says = |entry: &Map<String, Value>| {
            let is_called = |metric: &Metric| entry.get("name").is_some_and(|name| name == metric.name());
            let elsewhere = Metric::ALL.into_iter().find(is_called).map(attachment_of);
            elsewhere.is_none_or(|other| other == attachment)
                && entry.keys().any(|key| !matches!(key.as_str(), "name" | "match"))
        };
        entries.retain_mut(|entry| {
            entry.as_object_mut().is_none_or(|entry| {
                // Of these it matters that they are there: without them the entry is for all.
                entry.retain(|key, value| matches!(key.as_str(), "name" | "match") || !is_empty(value));
                says(entry)
            })
        });
    }
    config.retain(|key, value| !(is_empty(value) && matches!(key.as_str(), "metrics" | "definitions")));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cleaned(config: Value) -> (Value, Vec<String>) {
        let Value::Object(mut config) = config else { panic!("an object") };
        let mut notes = Notes::default();
        clean(&mut config, Attachment::Http, "here", &mut notes);
        (Value::Object(config), notes.lines)
    }

    #[test]
    fn what_is_left_is_followed_and_what_is_not_is_noted() {
        let (config, notes) = cleaned(json!({
            "debug": false,
            "tcp_reporting_duration": "10s",
            "nonsense": {"a": 1},
            "local": {"cluster_id": "east", "zone": "z"},
            "definitions": [{"name": "requests_total", "value": "1"}, {"name": "own", "value": "1", "type": "RATE"}, {"name": "kept", "value": "1"}],
            "metrics": [
                {"name": "request_count", "drop": true},
                {"name": "kept", "dimensions": {"a": "request.", "a-b": "'x'", "c": "request.host"}, "typo": 1},
                {"match": "a b", "drop": true},
                {"dimensions": {"d": "request."}},
                {"name": "tcp_sent_bytes_total", "drop": true},
                7,
                {"dimensions": {}, "name": "requests_total", "tags_to_remove": ["none", "reporter"]},
            ],
        }));
        let expected = json!({
            "tcp_reporting_duration": "10s",
            "local": {"cluster_id": "east"},
            "definitions": [{"name": "kept", "value": "1"}],
            "metrics": [
                {"name": "kept", "dimensions": {"c": "request.host"}},
                {"name": "requests_total", "tags_to_remove": ["reporter"]},
            ],
        });
        assert_eq!(config, expected);
        for part in
            ["debug", "nonsense", "zone", "a-b", "requests_total", "request_count", "typo", "a b", "RATE"]
        {
            assert!(notes.iter().any(|note| note.contains(part)), "{part}: {notes:#?}");
        }
    }

    #[test]
    fn what_says_nothing_is_left_out_without_a_note() {
        let (config, notes) = cleaned(json!({"metrics": [
            {"name": "tcp_sent_bytes_total", "dimensions": {"a": "reqest.host"}},
            {"name": "no_such_metric", "drop": false, "dimensions": {}, "tags_to_remove": []},
            {"match": "a b", "drop": false},
        ]}));
        assert_eq!((config, notes), (json!({}), Vec::new()));
    }

    #[test]
    fn an_entry_without_a_metric_s_name_is_not_made_one_for_all() {
        for name in [json!(false), json!([]), json!(7)] {
            let (config, notes) = cleaned(json!({"metrics": [{"name": name, "drop": true}]}));
            assert_eq!(config, json!({}), "{name}");
            assert_eq!(notes.len(), 1, "{name}: {notes:?}");
        }
    }

    #[test]
    fn what_is_followed_with_a_warning_stays() {
        let config = json!({"metrics": [{"dimensions": {"kind": "istio_operationId"}}]});
        let (left, notes) = cleaned(config.clone());
        assert_eq!(left, config);
        assert!(matches!(&notes[..], [note] if note.contains("istio_operationId")), "{notes:?}");
    }
}
