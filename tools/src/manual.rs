//! `istio-stats manual`: the command's own manual, as files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap_complete::Shell;

/// Writes the man pages and what completes the command in bash, zsh and fish.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Directory to write into, man/ and completions/
    directory: PathBuf,
}

/// Runs the command on the definition of the whole command line.
pub(crate) fn run(args: &Args, mut command: clap::Command) -> Result<()> {
    let made = |folder: &str| {
        let directory = args.directory.join(folder);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        anyhow::Ok(directory)
    };
    let pages = made("man")?;
    clap_mangen::generate_to(command.clone().disable_help_subcommand(true), &pages)
        .with_context(|| cannot(&pages))?;
    let completions = made("completions")?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, "istio-stats", &completions)
            .with_context(|| cannot(&completions))?;
    }
    Ok(())
}

fn cannot(directory: &Path) -> String {
    format!("cannot write into {}", directory.display())
}
