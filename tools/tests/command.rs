//! Runs the command as a user does: on samples, whose output is known, and on
//! every file that the project ships.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::unwrap_used, reason = "a test may fail that way")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The project's root, where users run the command.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_istio-stats"));
    command.current_dir(root()).args(arguments).output().unwrap()
}

/// What a terminal would show.
fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    text(&output.stdout) + &text(&output.stderr)
}

/// What the command prints, which must succeed.
fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", shown(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Every file below a folder of the project, by its path from the root.
fn files(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                files.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn is_yaml(path: &str) -> bool {
    path.ends_with(".yaml")
}

const HOW_TO_UPDATE: &str = "UPDATE_SAMPLES=1 cargo test -p istio-stats-tools writes it down";

/// Whether to write down what the command prints; look at the difference.
fn updates() -> bool {
    std::env::var_os("UPDATE_SAMPLES").is_some()
}

#[test]
fn each_sample_gives_its_output() {
    let samples: Vec<_> =
        files("tools/tests/samples").into_iter().filter(|path| !path.ends_with(".txt")).collect();
    assert!(samples.len() >= 9);
    for sample in samples {
        let output = run(&["check", &sample]);
        let expected = format!("{sample}.txt");
        let shown = shown(&output);
        if updates() {
            fs::write(root().join(&expected), &shown).unwrap();
        }
        assert_eq!(shown, read(&expected), "{sample}: {HOW_TO_UPDATE}");
        let fails = shown.lines().last().unwrap().starts_with("error: ");
        assert_eq!(output.status.success(), !fails, "{sample}");
    }
}

#[test]
fn every_file_of_envoy_config_is_without_a_problem() {
    let mut checked = 0;
    for file in files("envoy-config").iter().filter(|path| is_yaml(path)) {
        let json: serde_json::Value =
            serde_json::from_slice(&run(&["check", "--json", file]).stdout).unwrap();
        assert_eq!((&json["errors"], &json["warnings"]), (&0.into(), &0.into()), "{file}: {json:#}");
        checked += json["checked"].as_array().unwrap().len();
    }
    assert!(checked >= 8, "{checked} plugin configurations");
}

#[test]
fn the_list_of_stats_tags_is_what_the_command_prints() {
    let printed = printed(&["tags"]);
    if updates() {
        fs::write(root().join("envoy-config/stats_tags.yaml"), &printed).unwrap();
    }
    assert_eq!(read("envoy-config/stats_tags.yaml"), printed, "{HOW_TO_UPDATE}");
}

#[test]
fn every_copy_of_the_stats_tags_is_what_the_command_prints() {
    let default = tag_lines(&printed(&["tags"]));
    let mut copies = 0;
    for file in files("envoy-config").iter().filter(|path| is_yaml(path)) {
        if tag_lines(&read(file)).is_empty() {
            continue;
        }
        copies += 1;
        // A file without a plugin has the list for a configuration that says nothing.
        let own = run(&["tags", file]);
        let expected = if own.status.success() { tag_lines(&shown(&own)) } else { default.clone() };
        if updates() {
            fs::write(root().join(file), with_tag_lines(&read(file), &expected)).unwrap();
        }
        assert_eq!(tag_lines(&read(file)), expected, "{file}: {HOW_TO_UPDATE}");
    }
    assert!(copies >= 3, "{copies} copies");
}

fn is_tag_line(line: &str) -> bool {
    line.trim_start().starts_with("- { tag_name: ")
}

fn tag_lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| is_tag_line(line)).map(|line| line.trim().to_owned()).collect()
}

/// The text with these lines in the place of its own, as far to the right.
fn with_tag_lines(text: &str, lines: &[String]) -> String {
    let (before, rest) = text.split_at(text.find("- { tag_name: ").unwrap());
    let indentation = before.rsplit('\n').next().unwrap();
    let after: Vec<_> = rest.lines().skip_while(|line| is_tag_line(line)).collect();
    let lines = lines.join(&format!("\n{indentation}"));
    [before, &lines, "\n", &after.join("\n"), if after.is_empty() { "" } else { "\n" }].concat()
}

#[test]
fn the_annotation_for_istio_is_what_the_command_prints() {
    let annotation = printed(&["tags", "--istio"]);
    let readme = read("envoy-config/README.md");
    let line = readme.lines().find(|line| line.starts_with("sidecar.istio.io/extraStatTags: "));
    assert_eq!(line, Some(annotation.trim_end()));
}

/// The examples in docs/command.md: `$ istio-stats …` and what is shown. A line
/// that is `…` stands for any others.
#[test]
fn the_examples_of_the_documentation_are_true() {
    let document = read("docs/command.md");
    let mut examples = 0;
    for block in document.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        let Some((command, expected)) = block.split_once('\n') else { continue };
        let Some(arguments) = command.strip_prefix("$ istio-stats ") else { continue };
        let arguments: Vec<_> = arguments.split(' ').collect();
        // The others need a running proxy.
        if !["check", "tags", "migrate", "peer-header"].contains(&arguments[0]) {
            continue;
        }
        examples += 1;
        let shown = shown(&run(&arguments));
        assert!(is_like(&shown, expected), "{command}\nshows:\n{shown}\nbut the document says:\n{expected}");
    }
    assert!(examples >= 6, "{examples} examples");
}

fn is_like(shown: &str, expected: &str) -> bool {
    let mut rest = shown;
    for (index, part) in expected.split("…\n").enumerate() {
        let found = if index == 0 { rest.starts_with(part).then_some(0) } else { rest.find(part) };
        let Some(at) = found else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.is_empty() || expected.ends_with("…\n")
}

#[test]
fn a_configuration_comes_from_standard_input_too() {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut command = Command::new(env!("CARGO_BIN_EXE_istio-stats"));
    command.args(["check", "--plugin", "metadata-exchange", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"trust\": \"mtls\", \"max_series\": 1}").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(
        shown(&output).starts_with("<stdin>:1:19: error: max_series: unknown field with value 1; ignored\n")
    );
}

#[test]
fn files_that_cannot_be_checked_do_not_hide_the_others() {
    let output =
        run(&["check", "no/such/file", "tools/tests/samples/clean.json", "tools/tests/samples/nothing.yaml"]);
    assert!(!output.status.success());
    let shown = shown(&output);
    assert!(shown.starts_with("no/such/file:1:1: error: cannot read this file: "), "{shown}");
    assert!(shown.ends_with("error: 1 error in 1 plugin configuration\n"), "{shown}");
}

#[test]
fn peer_headers_that_would_not_be_sent_are_errors() {
    for (arguments, said) in [
        (["peer-header", "tools/tests/samples/clean.json"].as_slice(), "tells nothing of a workload"),
        (&["peer-header", "--id", "tools/tests/samples/nothing.yaml"], "the node has no id"),
        (&["peer-header", "tools/tests/samples/kubernetes.yaml"], "expected one document, found 4"),
    ] {
        let output = run(arguments);
        assert!(!output.status.success() && shown(&output).contains(said), "{}", shown(&output));
    }
}

#[test]
fn a_plan_says_what_each_setting_saves() {
    let sizes = ["plan", "--kubernetes-clusters", "2", "--workloads", "10", "--pods", "3", "--peers", "10"];
    let shown = printed(&[&sizes[..], &["--outcomes", "1"]].concat());
    assert!(
        shown.starts_with("2 Kubernetes clusters, each with 30 proxies of 10 workloads; 20 label sets"),
        "{shown}"
    );
    assert!(shown.contains("prometheus.io/param_histogram_buckets: prometheusnative"), "{shown}");
    let json = printed(&[&sizes[..], &["--outcomes", "1", "--json"]].concat());
    let plan: serde_json::Value = serde_json::from_str(&json).unwrap();
    // Seven of each proxy are about itself.
    assert_eq!(plan["totals"]["scraped"]["series"], 30.0 * (20.0 * 67.0 + 7.0));
    assert_eq!(plan["totals"]["above"]["series"], 2.0 * (10.0 * 20.0 * 67.0 + 30.0 * 7.0));
    assert_eq!(plan["levers"][1]["totals"]["scraped"]["series"], 30.0 * (20.0 * 4.0 + 7.0));
}
