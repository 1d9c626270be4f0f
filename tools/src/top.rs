//! `istio-stats top`: which Kubernetes cluster calls which, and how it goes.

pub(crate) mod choice;
pub(crate) mod failure;
mod history;
pub(crate) mod latency;
mod live;
pub(crate) mod measure;
mod order;
pub(crate) mod rows;
mod screen;
pub(crate) mod show;
pub(crate) mod sources;
mod view;

use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::Duration;

use anyhow::{ensure, Result};
use istio_stats::catalogue::metric::PREFIX;

use crate::endpoint::Endpoint;
use crate::names::parse_prefix;
use crate::output::{complain, print};
use choice::{By, Whose};
use rows::{rows, Unit};
use show::{json, table};
use sources::Sources;

/// Shows which Kubernetes cluster calls which: rates, success, latency, TCP connections and bytes.
///
/// Reads the Istio metrics of one or more Envoys and adds them up. On a terminal it is live; elsewhere it prints a
/// table per interval.
///
/// HTTP succeeds unless the code is 5xx, gRPC with status 0. p50 and p99 are those of Prometheus' histogram_quantile.
/// Bytes in come from the client of a TCP connection, bytes out go to it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Envoys' admin interfaces, or pages in the Prometheus text format
    #[arg(default_value = "http://127.0.0.1:15000")]
    urls: Vec<String>,
    /// Seconds between two readings. Envoy publishes histograms only at its stats_flush_interval, 5 s by default
    #[arg(long, default_value_t = 5.0, value_parser = parse_seconds)]
    interval: f64,
    /// What a row stands for
    #[arg(long, value_enum, default_value_t = By::Cluster)]
    by: By,
    /// Whose reports count: both proxies of a call report it
    #[arg(long, value_enum, default_value_t = Whose::Auto)]
    reporter: Whose,
    /// What the metrics' names begin with: metric_prefix in the plugin's configuration
    #[arg(long, value_name = "PREFIX", default_value = PREFIX, value_parser = parse_prefix)]
    metric_prefix: String,
    /// Reads once and shows totals since the proxies' start
    #[arg(long)]
    once: bool,
    /// Prints one JSON object
    #[arg(long, requires = "once")]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// With `--once`: an endpoint did not answer. Else: the terminal cannot be used.
pub(crate) fn run(args: &Args) -> Result<()> {
    let endpoints: Result<Vec<_>> = args.urls.iter().map(|url| Endpoint::new(url)).collect();
    let sources = Sources::new(endpoints?, &args.metric_prefix);
    let interval = Duration::from_secs_f64(args.interval);
    if args.once {
        once(sources, args)
    } else if io::stdout().is_terminal() {
        live::run(sources, args.by, args.reporter, interval)
    } else {
        print_for_ever(sources, args, interval)
    }
}

fn once(mut sources: Sources, args: &Args) -> Result<()> {
    sources.read();
    let rows = rows(&sources.flows(), args.by, args.reporter, Unit::Total);
    let errors = sources.errors();
    if args.json {
        print(&format!("{:#}\n", json(&rows, args.by, args.reporter, Unit::Total)))?;
    } else if !rows.is_empty() {
        print(&format!("{}\n", table(&rows, args.by, Unit::Total).join("\n")))?;
    }
    for line in sources.notes(rows.is_empty()) {
        complain(&line);
    }
    // What did answer was shown; that it is not all must not go unnoticed.
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(())
}

fn print_for_ever(mut sources: Sources, args: &Args, interval: Duration) -> Result<()> {
    loop {
        sources.read();
        let unit = sources.unit();
        let rows = rows(&sources.flows(), args.by, args.reporter, unit);
        let mut lines = sources.errors();
        lines.extend(sources.notes(rows.is_empty()));
        if !rows.is_empty() {
            lines.extend(table(&rows, args.by, unit));
        }
        if !print(&format!("{}\n\n", lines.join("\n")))? {
            return Ok(());
        }
        thread::sleep(interval);
    }
}

/// Of the option `--interval`.
pub(crate) fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "must be a number of seconds from 0.1 to 3600".to_owned())
}
