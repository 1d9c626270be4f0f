//! `istio-stats tags`: the expressions that make labels of stat names.

use std::path::PathBuf;

use anyhow::{anyhow, Context as _, Result};
use istio_stats::catalogue::stat_name;
use istio_stats::config::Config;

use crate::artefact::Artefact;
use crate::find;
use crate::output::{complain, print};
use crate::stat_names::{self, LabelPosition, StatName, WASM_PREFIX};

/// Prints the stats_tags of a bootstrap for the labels of configurations
///
/// Of several configurations, give all files at once: the list then fits each of
/// them. Lists that were merged by hand break the metrics' names.
///
/// Envoy knows a metric of a Wasm plugin by a name and nothing else, so labels
/// are written into the name; stats_tags take them out again. A label without its
/// line stays in the metric's name.
///
/// The expressions say how many labels precede each, where that is the same in
/// every metric. So they fit one configuration: run this again when its labels
/// change, or see --anywhere.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What `check` takes: a configuration, a bootstrap, resources; - is
    /// standard input. Left out: the configuration that says nothing
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the pod annotation for Istio's sidecars instead
    #[arg(long)]
    istio: bool,
    /// Find every label wherever it stands, so that the list also fits
    /// configurations that have fewer labels; at most a tenth more work for Envoy
    #[arg(long, conflicts_with = "istio")]
    anywhere: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut names =
        if args.files.is_empty() { stat_names::of_config(&Config::default()) } else { Vec::new() };
    for path in &args.files {
        names.extend(read(path)?);
    }
    names.extend(stat_names::of_plugin());
    let mut positions = stat_names::positions(&names);
    if args.anywhere {
        positions.iter_mut().for_each(|label| label.position = None);
    }
    for (one, other) in stat_names::suffixes(&positions) {
        complain(&format!("warning: {}", suffix_trap(one, other)));
    }
    print(&if args.istio { format!("{}\n", annotation(&positions)) } else { block(&positions) })?;
    Ok(())
}

/// What a label's name does to another's.
pub(crate) fn suffix_trap(one: &str, other: &str) -> String {
    format!(
        "label {other:?} ends like label {one:?}: Istio's expressions (extraStatTags) take the value of one for \
         the other"
    )
}

/// The stat names of all stats plugins in a file.
fn read(path: &std::path::Path) -> Result<Vec<StatName>> {
    let file = find::read(path, Artefact::IstioStats).with_context(|| find::name_of(path))?;
    let mut names = None;
    for found in file.found() {
        // The native form's labels are in no name.
        if found.artefact != Artefact::IstioStats || found.is_native() {
            continue;
        }
        let bytes = found.configuration.bytes.as_ref().map_err(|why| anyhow!("{}: {why}", file.name))?;
        let (config, issues) = Config::compile(bytes);
        let config = config.ok_or_else(|| {
            let issues: Vec<_> = issues.iter().map(ToString::to_string).collect();
            anyhow!("{}: {}", file.name, issues.join("; "))
        })?;
        if issues.iter().any(|issue| issue.level <= log::Level::Warn) {
            let what = "parts of the configuration are not followed; see istio-stats check";
            complain(&format!("warning: {}: {what}", file.name));
        }
        names.get_or_insert_with(Vec::new).extend(stat_names::of_config(&config));
    }
    names.ok_or_else(|| anyhow!("{}: no configuration of istio_stats found", file.name))
}

const HEADER: &str = "\
# The labels, as `istio-stats tags` prints them. A Wasm plugin can give Envoy only
# a name for a metric, so it writes the labels into that name,
# `reporter=.=source;.;source_workload=.=web;.;…`, and these expressions take them
# out again: the first group is removed from the name, the second is the label's
# value. Without its entry here a label stays in the metric's name.
#
# Copy the list into `stats_config.stats_tags` of your bootstrap. Its order is
# the order of the labels in Prometheus. The expressions begin at the prefix of
# every Wasm metric, so that they cost other metrics nothing, and step over whole
# labels, so that a value cannot pass for a label.
";

/// What to know of a list whose expressions count.
const COUNTING: &str = "\
#
# Most of them count the labels in front of theirs: a configuration that adds or
# removes labels needs a list of its own, from `istio-stats tags FILE`.
";

/// The list, with what it is.
fn block(positions: &[LabelPosition]) -> String {
    let counts = positions.iter().any(|label| label.position.is_some());
    let note = if counts { COUNTING } else { "" };
    let lines: String = entries(positions).map(|line| format!("  {line}\n")).collect();
    format!("{HEADER}{note}stats_tags:\n{lines}")
}

/// The elements of the list.
pub(crate) fn entries(positions: &[LabelPosition]) -> impl Iterator<Item = String> + '_ {
    let labels = positions.iter().map(|label| entry(&label.label, &regex(label)));
    labels.chain(BUILD.iter().map(|(name, regex)| entry(name, regex)))
}

/// The entries for these labels wherever they stand in a stat name: a running Envoy
/// does not tell where.
pub(crate) fn anywhere<'a>(labels: impl IntoIterator<Item = &'a str>) -> String {
    labels.into_iter().map(entry_anywhere).collect::<Vec<_>>().join("\n")
}

fn entry_anywhere(label: &str) -> String {
    match BUILD.iter().find(|(name, _)| *name == label) {
        Some((name, regex)) => entry(name, regex),
        None => entry(label, &regex(&LabelPosition { label: label.to_owned(), position: None })),
    }
}

fn entry(name: &str, regex: &str) -> String {
    format!("- {{ tag_name: {name}, regex: '{regex}' }}")
}

/// The expression for a label in this label.
fn regex(LabelPosition { label, position }: &LabelPosition) -> String {
    let before = match position {
        Some(0) => String::new(),
        Some(position) => format!(r"(?:[^;]*;\.;){{{position}}}"),
        None => r"(?:[^;]*;\.;)*?".to_owned(),
    };
    format!(r"^wasmcustom\.{before}({label}=\.=([^;]*);\.;)")
}

/// For `istio_build` and the like, whose names have Istio's older form.
const BUILD: [(&str, &str); 2] = [
    ("component", r"^wasmcustom\.(component\.([^.]+)\.)"),
    ("tag", r"^wasmcustom\.component\.[^.]+\.(tag\.([^;]+);\.)"),
];

/// The annotation. Istio's bootstrap has the tags of `istio_build` already.
fn annotation(positions: &[LabelPosition]) -> String {
    let labels: Vec<_> = positions.iter().map(|label| label.label.as_str()).collect();
    format!("sidecar.istio.io/extraStatTags: {}", labels.join(","))
}

/// The name by which Envoy knows a metric, with the nth label's value from `value`.
pub(crate) fn full_name(name: &StatName, value: impl Fn(usize) -> String) -> String {
    let values: Vec<_> = (0..name.labels.len()).map(value).collect();
    let labels = name.labels.iter().zip(&values).map(|(label, value)| (label.name.as_str(), value.as_str()));
    WASM_PREFIX.to_owned() + &stat_name::encode(labels, &name.metric)
}

#[cfg(test)]
mod tests;
