//! `istio-stats doctor`: reads a running Envoy and says what is wrong.

mod attached;
mod calls;
mod chain;
mod checks;
mod diagnosis;
mod dump;
mod family;
mod finding;
#[cfg(test)]
mod fixture;
mod json;
mod listeners;
mod proxy;
mod seen;
mod show;
mod stats;
mod stock_exchange;
mod symptom;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{bail, Result};

use crate::endpoint::Endpoint;
use crate::names::{parse_prefix, Names};
use crate::output::{complain, print};
use diagnosis::Diagnosis;
use proxy::{look_at, Proxy};
use seen::Seen;

/// Reads running Envoys and says what is wrong with their Istio metrics, and what to write to cure it.
///
/// Asks the admin interface for its configuration and stats. A page in the Prometheus text format alone (port 15090 of
/// Istio's proxies, say) is enough for the checks of labels and peers. With ?histogram_buckets=prometheusnative it also
/// tries whether a scrape for native histograms is answered.
///
/// Exit status: 0 healthy, 1 something is wrong with one of them, else 2 if one could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Envoys' admin interfaces, or pages in the Prometheus text format
    #[arg(default_value = "http://127.0.0.1:15000")]
    urls: Vec<String>,
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

/// What to do about a proxy that does not answer.
const ITS_LOG: &str = "An Envoy that does not start says why in its log: envoy --mode validate -c FILE";

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match examine(args) {
        Ok(proxies) => conclude(&proxies),
        Err(error) => {
            complain(&format!("error: {error:#}\n{ITS_LOG}"));
            CANNOT_LOOK.into()
        }
    }
}

/// Looks at the proxies and tells what was found.
///
/// # Errors
/// There was nothing to look at.
fn examine(args: &Args) -> Result<Vec<Proxy>> {
    let endpoints: Result<Vec<_>> = args.urls.iter().map(|url| Endpoint::new(url)).collect();
    let endpoints = endpoints?;
    if args.seconds > 0.0 && io::stderr().is_terminal() {
        let urls: Vec<_> = endpoints.iter().map(Endpoint::url).collect();
        complain(&format!("reading {} and watching for {} s", urls.join(", "), args.seconds));
    }
    let told = args.metric_prefix.clone().map(|prefix| Names::with_prefixes([prefix]));
    let wait = Duration::from_secs_f64(args.seconds);
    let proxies = look_at(&endpoints, |endpoint| {
        let (endpoint, asks_for_native) = endpoint.clone().without_native();
        let mut seen = Seen::read(&endpoint, wait, told.clone())?;
        if asks_for_native {
            seen.native_refusal = endpoint.native_refusal()?;
        }
        Ok(Diagnosis::new(&seen, checks::run(&seen)))
    });
    if let [Proxy { outcome: Err(error), .. }] = proxies.as_slice() {
        bail!("{error:#}");
    }
    print(&if args.json { format!("{:#}\n", show::json(&proxies)) } else { show::text(&proxies) })?;
    Ok(proxies)
}

/// What is wrong goes before what is not known.
fn conclude(proxies: &[Proxy]) -> ExitCode {
    let unread = proxies.iter().any(|proxy| proxy.outcome.is_err());
    if unread {
        complain(ITS_LOG);
    }
    match proxies.iter().flat_map(|proxy| &proxy.outcome).all(Diagnosis::is_healthy) {
        false => WRONG.into(),
        true if unread => CANNOT_LOOK.into(),
        true => ExitCode::SUCCESS,
    }
}

/// A minute is enough to send a request.
fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "must be a number of seconds from 0 to 3600".to_owned())
}
