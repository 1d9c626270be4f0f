//! The bootstrap that the native module reads: any text tells who the proxy is, or why that is unknown.
#![no_main]

#[path = "../../modules/native/src/node.rs"]
#[allow(dead_code)]
mod node;

use node::Node;

/// Envoy reads it first, and refuses what is nested deeper.
const MAX_DEPTH: usize = 500;
const PATHS: [&[&str]; 4] = [&[], &["id"], &["metadata"], &["metadata", "LABELS", "app"]];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if text.chars().filter(|c| "-?:[{!&".contains(*c)).count() > MAX_DEPTH {
        return;
    }
    let read = || Node::of_command_line(&["--config-yaml".to_owned(), text.as_ref().to_owned()]);
    let node = read();
    assert_eq!(node, read());
    for path in PATHS {
        let is_text = node.as_ref().is_ok_and(|node| node.get(path).is_some());
        let is_none = node.as_ref().is_ok_and(|node| node.is_no_text(path));
        assert!(!(is_text && is_none), "{path:?}");
    }
});
