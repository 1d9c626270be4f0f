//! The `istio-stats` command: one subcommand per file.

mod artefact;
mod helpers;
mod pack;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Works on the Wasm modules of istio-stats, on the build machine.
#[derive(Debug, Parser)]
#[command(name = "istio-stats", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Pack(pack::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Pack(args) => pack::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
