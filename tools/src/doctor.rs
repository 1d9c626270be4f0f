//! `istio-stats doctor`: reads a running Envoy and says what is wrong.

mod attached;
mod calls;
mod chain;
mod checks;
mod dump;
mod family;
mod finding;
#[cfg(test)]
mod fixture;
mod json;
mod listeners;
mod seen;
mod show;
mod stats;
mod stock_exchange;
mod symptom;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::endpoint::Endpoint;
use crate::names::{parse_prefix, Names};
use crate::output::{complain, print};
use finding::Finding;
use seen::Seen;
use symptom::Severity;

/// Reads a running Envoy and says what is wrong with its Istio metrics, and what to write to cure it.
///
/// Asks the admin interface for its configuration and stats. A page in the Prometheus text format alone (port 15090 of
/// Istio's proxies, say) is enough for the checks of labels and peers.
///
/// Exit status: 0 healthy, 1 something is wrong, 2 nothing could be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Envoy's admin interface, or any page in the Prometheus text format
    #[arg(default_value = "http://127.0.0.1:15000")]
    url: String,
    /// Watches so long whether what passes is counted; 0 looks once
    #[arg(long, default_value_t = 2.0, value_parser = parse_seconds)]
    seconds: f64,
    /// What the metrics' names begin with [default: metric_prefix of the plugins' configurations, else istio_]
    #[arg(long, value_name = "PREFIX", value_parser = parse_prefix)]
    metric_prefix: Option<String>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

const WRONG: u8 = 1;
const CANNOT_LOOK: u8 = 2;

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match examine(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => WRONG.into(),
        Err(error) => {
            complain(&format!("error: {error:#}"));
            complain("An Envoy that does not start says why in its log: envoy --mode validate -c FILE");
            CANNOT_LOOK.into()
        }
    }
}

/// Whether nothing is wrong.
fn examine(args: &Args) -> Result<bool> {
    let endpoint = Endpoint::new(&args.url)?;
    if args.seconds > 0.0 && io::stderr().is_terminal() {
        complain(&format!("reading {} and watching it for {} s", endpoint.url(), args.seconds));
    }
    let told = args.metric_prefix.clone().map(|prefix| Names::with_prefixes([prefix]));
    let seen = Seen::read(&endpoint, Duration::from_secs_f64(args.seconds), told)?;
    let findings = checks::run(&seen);
    let healthy = !findings.iter().any(is_problem);
    print(&if args.json {
        format!("{:#}\n", show::json(endpoint.url(), &seen, &findings, healthy))
    } else {
        show::text(endpoint.url(), &seen, &findings)
    })?;
    Ok(healthy)
}

fn is_problem(finding: &Finding) -> bool {
    finding.symptom.severity == Severity::Problem
}

/// A minute is enough to send a request.
fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "must be a number of seconds from 0 to 3600".to_owned())
}
