//! `istio-stats migrate` as a user runs it: what it prints is what `check` finds no
//! fault with, for each way in.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const WAYS: [&str; 4] = ["envoy-filter", "wasm-plugin", "traffic-extension", "standalone"];
const FILES: [&str; 4] = ["filters.yaml", "operator.yaml", "simple.yaml", "telemetry.yaml"];

fn run(arguments: &[&str], stdin: &str) -> Output {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut command = Command::new(env!("CARGO_BIN_EXE_istio-stats"));
    command.current_dir(root).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// What is printed for a file of tools/tests/migrate.
fn migrated(file: &str, options: &[&str]) -> String {
    let path = format!("tools/tests/migrate/{file}");
    let output = run(&[&["migrate", &path], options].concat(), "");
    assert!(output.status.success(), "{file} {options:?}: {}", text(output.stderr));
    text(output.stdout)
}

/// The lines with this in them.
fn lines<'a>(printed: &'a str, part: &str) -> Vec<&'a str> {
    printed.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn what_is_printed_passes_check() {
    for file in FILES {
        for way in WAYS {
            for options in [&["--to", way][..], &["--to", way, "--beside"]] {
                let printed = migrated(file, options);
                let checked = run(&["check", "--json", "-"], &printed);
                let json: Value = serde_json::from_slice(&checked.stdout).unwrap();
                assert_eq!(
                    (&json["errors"], &json["warnings"]),
                    (&0.into(), &0.into()),
                    "{file} {options:?}: {json:#}"
                );
                assert!(json["checked"].as_array().unwrap().len() >= 4, "{file} {options:?}");
                // Beside Istio's own metrics every name is another, and nothing is switched off.
                let is_beside = options.contains(&"--beside");
                assert_eq!(printed.contains("mesh_"), is_beside, "{file} {options:?}");
                let switches_off = printed.contains("kind: Telemetry");
                assert_eq!(switches_off, !is_beside && way != "standalone", "{file} {options:?}");
            }
        }
    }
}

#[test]
fn what_configured_istios_metrics_is_nothing_to_check_but_to_migrate() {
    let native = "{kind: EnvoyFilter, spec: {configPatches: [{patch: {value: \
                  {typed_config: {'@type': type.googleapis.com/stats.PluginConfig}}}}]}}";
    let generation =
        "{kind: WasmPlugin, spec: {url: x, pluginConfig: {attributes: [{output_attribute: y}]}}}";
    let values = "telemetry: {v2: {enabled: true}}";
    for document in
        [native, generation, values, "{kind: IstioOperator}", "{kind: Telemetry, spec: {metrics: []}}"]
    {
        let output = run(&["check", "-"], document);
        let said = text(output.stdout) + &text(output.stderr);
        assert!(!output.status.success() && said.contains("istio-stats migrate"), "{document}: {said}");
    }
}

#[test]
fn the_example_of_the_documentation_is_the_file() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let read = |path| std::fs::read_to_string(root.join(path)).unwrap();
    let example = format!("```yaml\n{}```\n", read("tools/tests/migrate/simple.yaml"));
    assert!(read("docs/command.md").contains(&example));
}

#[test]
fn where_nothing_is_to_be_migrated_it_says_so() {
    for document in ["{kind: Pod}", "{kind: Telemetry, spec: {tracing: []}}", "meshConfig: {}", ""] {
        let output = run(&["migrate", "-"], document);
        assert!(!output.status.success() && text(output.stderr).contains("nothing to migrate"), "{document}");
    }
    let output = run(&["migrate", "-"], "a: [");
    assert!(text(output.stderr).contains("<stdin>: not YAML (line "), "it says where");
}

#[test]
fn a_narrower_envoy_filter_replaces_the_wider_ones_filter() {
    let printed = migrated("telemetry.yaml", &[]);
    let in_place_of = |filter: &str| lines(&printed, &format!("ilter: {{ name: {filter} }}")).len();
    // The namespace's replaces that of the mesh, the workload's that of the namespace, or takes it away.
    assert_eq!(in_place_of("envoy.filters.http.router"), 3);
    assert_eq!(in_place_of("istio-stats-http-outbound"), 1);
    assert_eq!(
        in_place_of("istio-stats-http-outbound-shop"),
        0,
        "clients of the ledger record what the namespace does"
    );
    assert_eq!(in_place_of("istio-stats-http-inbound-shop"), 1);
    // Three are the samples': of the listeners of tunnels.
    assert_eq!(lines(&printed, "operation: REMOVE").len(), 3 + 2);
    assert_eq!(
        lines(&printed, "priority: ").iter().map(|line| line.trim()).collect::<Vec<_>>(),
        ["priority: 10", "priority: -10", "priority: 20", "priority: 30", "priority: -8"]
    );
    // Access logs are none of this command's.
    assert_eq!(lines(&printed, "accessLogging:").len(), 1);
}

#[test]
fn what_a_way_in_cannot_do_is_noted() {
    for way in ["wasm-plugin", "traffic-extension"] {
        let printed = migrated("telemetry.yaml", &["--to", way]);
        let notes = lines(&printed, "no equivalent: a ");
        assert_eq!(notes.len(), 2, "{way}: {notes:#?}");
        assert!(!printed.contains("x-tenant"), "{way}: nothing counts twice");
    }
    let gateways = migrated("operator.yaml", &["--to", "wasm-plugin"]);
    assert_eq!(lines(&gateways, "gateways are clients").len(), 1);
    assert!(!gateways.contains("teapots") && migrated("operator.yaml", &[]).contains("name: teapots"));
}

#[test]
fn waypoints_get_what_targets_them() {
    let telemetry = "{kind: Telemetry, metadata: {name: w, namespace: shop}, spec: {targetRefs: \
                     [{kind: Service, name: reviews}], metrics: [{overrides: [{match: {mode: SERVER}, \
                     tagOverrides: {source_app: {operation: REMOVE}}}]}]}}";
    for way in ["wasm-plugin", "traffic-extension"] {
        let printed = text(run(&["migrate", "--to", way, "-"], telemetry).stdout);
        assert_eq!(lines(&printed, "reporter: SERVER_GATEWAY").len(), 2, "{way}: {printed}");
        assert_eq!(lines(&printed, "kind: Service").len(), 3, "{way}: {printed}");
        assert_eq!(lines(&printed, "- source_app").len(), 2, "{way}: {printed}");
        assert!(!printed.contains("istio-waypoint"), "{way}: {printed}");
    }
    let filters = text(run(&["migrate", "-"], telemetry).stdout);
    assert!(filters.contains("a waypoint takes no EnvoyFilter"), "{filters}");
}
