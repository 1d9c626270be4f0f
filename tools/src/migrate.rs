//! `istio-stats migrate`: from the configuration of Istio's own metrics to this
//! plugin's.

mod clean;
mod emit;
mod filters;
mod gather;
mod generation;
mod intent;
mod merge;
mod mesh;
mod notes;
mod plans;
mod print;
mod sheet;
pub(crate) mod source;
mod task;
mod telemetry;
mod way;

use std::path::PathBuf;

use anyhow::{ensure, Result};

use crate::output;
use notes::Notes;
use task::Task;
use way::Way;

/// Prints this plugin's resources for what configures Istio's own metrics
///
/// FILE holds Telemetry resources, an IstioOperator or Helm values (their stats
/// section), EnvoyFilters for `istio.stats` or for the old Wasm plugin, or plugins
/// that generate attributes. YAML or JSON, with any number of documents, or a List as
/// kubectl prints it.
///
/// What is printed are the project's samples with that configuration in them. What has
/// no equivalent stands in the comments at its beginning.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files to read; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The way in
    #[arg(long, default_value = "envoy-filter")]
    to: Way,
    /// Under names of their own (mesh_requests_total), with Istio's metrics left on
    #[arg(long)]
    beside: bool,
    /// The namespace whose resources are for the whole mesh
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut notes = Notes::default();
    let sources = gather::gather(&args.files, &args.root_namespace, &mut notes)?;
    let plans = plans::plans(&sources, &mut notes);
    ensure!(
        !plans.is_empty(),
        "nothing to migrate: no Telemetry with metrics, no stats section, no stats filter"
    );
    let task = Task {
        sources: &sources,
        plans: &plans,
        root_namespace: &args.root_namespace,
        is_beside: args.beside,
    };
    let printed = print::print(&task, args.to, &mut notes);
    let head = head(args.to, &notes);
    output::print(&format!("{head}{printed}"))?;
    if !notes.lines.is_empty() {
        output::complain(&format!("notes: {}, in the comments at the beginning", notes.lines.len()));
    }
    Ok(())
}

/// The comments at the beginning.
fn head(way: Way, notes: &Notes) -> String {
    let mut head = "# Printed by istio-stats migrate.\n".to_owned();
    if way != Way::Standalone {
        head += "# PLACEHOLDER: replace the image and its digest in all places, see docs/install.md.\n";
    }
    if !notes.lines.is_empty() {
        head += "#\n# What has no equivalent, or needs a look:\n#\n";
        notes.lines.iter().for_each(|line| head += &format!("# - {}\n", line.replace('\n', " ")));
        head += "#\n";
    }
    head
}
