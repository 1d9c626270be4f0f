//! The `istio-stats` command: one subcommand per file.

#![deny(clippy::print_stdout, clippy::print_stderr, reason = "`output` prints")]

mod artefact;
mod check;
mod doctor;
mod endpoint;
mod exposition;
mod extraction;
mod find;
mod handles;
mod istio_metrics;
mod manual;
mod migrate;
mod names;
mod output;
mod pack;
mod peer_header;
mod plan;
mod scalar;
mod stat_names;
mod tags;
mod top;
mod ui;
mod yaml;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use istio_stats::version::VERSION;

/// Checks and prepares what the Wasm modules of istio-stats need.
#[derive(Debug, Parser)]
#[command(name = "istio-stats", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Args),
    Tags(tags::Args),
    Migrate(migrate::Args),
    PeerHeader(peer_header::Args),
    Plan(plan::Args),
    Doctor(doctor::Args),
    Pack(pack::Args),
    Manual(manual::Args),
    Top(top::Args),
    Ui(ui::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
        Command::Tags(args) => tags::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::PeerHeader(args) => peer_header::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Doctor(args) => return doctor::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Manual(args) => manual::run(&args, Cli::command()),
        Command::Top(args) => top::run(&args),
        Command::Ui(args) => ui::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
