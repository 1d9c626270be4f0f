//! A plugin configuration as a protobuf `Struct`, encoded by another
//! implementation, means what the same JSON means.

use istio_stats::config::Config;
use prost::Message as _;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::json;

fn encode(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(flag) => Kind::BoolValue(*flag),
        serde_json::Value::Number(number) => Kind::NumberValue(number.to_string().parse().unwrap()),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(list) => {
            Kind::ListValue(ListValue { values: list.iter().map(encode).collect() })
        }
        serde_json::Value::Object(fields) => Kind::StructValue(Struct {
            fields: fields.iter().map(|(key, value)| (key.clone(), encode(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

fn serialised(json: &serde_json::Value) -> Vec<u8> {
    match encode(json).kind {
        Some(Kind::StructValue(fields)) => fields.encode_to_vec(),
        _ => panic!("an object"),
    }
}

#[test]
fn a_struct_means_what_the_same_json_means() {
    let configuration = json!({
        "disable_host_header_fallback": true,
        "tcp_reporting_duration": "1s",
        "max_series": 50,
        "attachment": null,
        "local": {"cluster_id": "east"},
        "metrics": [
            {"name": "requests_total", "dimensions": {"a": "'x'"}, "tags_to_remove": ["reporter"], "drop": false},
        ],
        "definitions": [{"name": "mine", "value": "1", "type": "HISTOGRAM"}],
        "labels": ["reporter", "source_cluster"],
    });
    let (expected, issues) = Config::compile(configuration.to_string().as_bytes());
    assert_eq!(issues, []);
    assert_eq!(Config::compile(&serialised(&configuration)), (expected, vec![]));
}

#[test]
fn wrong_types_in_a_struct_are_named() {
    let (_, issues) = Config::compile(&serialised(&json!({"local": {"app": 1.5}, "reporter": [true]})));
    let said: Vec<_> = issues.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "reporter: expected one of UNSPECIFIED, SERVER_GATEWAY, found [true]; ignored",
            "local.app: expected a string, found 1.5; ignored",
        ]
    );
}

#[test]
fn any_bytes_compile_or_are_told_to_be_unusable() {
    let whole = serialised(&json!({"local": {"app": "web"}, "metrics": [{"drop": true}]}));
    for end in 0..whole.len() {
        let _ = Config::compile(&whole[..end]);
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[end] ^= 1 << bit;
            let _ = Config::compile(&flipped);
        }
    }
    let mut deep = json!({});
    for _ in 0..40 {
        deep = json!({"a": deep});
    }
    let (config, issues) = Config::compile(&serialised(&deep));
    assert_eq!((config, issues.len()), (None, 1));
}
