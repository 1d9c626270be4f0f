//! `istio-stats ui`: the mesh in a browser.

mod chart;
mod context;
mod details;
mod gone;
mod layers;
mod layout;
mod lists;
mod mesh;
mod native;
mod page;
mod pods;
mod prometheus;
mod resources;
mod series;
mod server;
mod show;
mod source;
mod table;
mod topology;
mod traffic;
mod view;
mod words;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use istio_stats::catalogue::metric::PREFIX;

use crate::endpoint::Endpoint;
use crate::names::parse_prefix;
use crate::output::print;
use crate::top::parse_seconds;
use source::Source;

/// Shows the mesh in a browser: which service calls which across Kubernetes clusters, and what fails.
///
/// Reads a Prometheus, one Kubernetes cluster's or one that federates several; or Envoys themselves. Whose reports count
/// is decided as `top` does. It only reads, and asks nobody but the URLs given here.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Envoys' admin interfaces, or pages in the Prometheus text format
    #[arg(default_value = "http://127.0.0.1:15000")]
    urls: Vec<String>,
    /// A Prometheus to ask instead
    #[arg(long, value_name = "URL", conflicts_with = "urls")]
    prometheus: Option<String>,
    /// Where the page is served. On another address than this machine's own, everybody who reaches it sees the mesh
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15080")]
    listen: SocketAddr,
    /// Seconds between two readings of Envoys
    #[arg(long, default_value_t = 5.0, value_parser = parse_seconds)]
    interval: f64,
    /// What the metrics' names begin with: metric_prefix in the plugin's configuration, or that of recording rules
    #[arg(long, value_name = "PREFIX", default_value = PREFIX, value_parser = parse_prefix)]
    metric_prefix: String,
}

/// Runs the command.
///
/// # Errors
/// A URL is none, or the address cannot be used.
pub(crate) fn run(args: &Args) -> Result<()> {
    let source = match &args.prometheus {
        Some(url) => Source::prometheus(Endpoint::new(url)?, &args.metric_prefix),
        None => {
            let endpoints: Result<Vec<_>> = args.urls.iter().map(|url| Endpoint::new(url)).collect();
            Source::envoys(endpoints?, &args.metric_prefix, Duration::from_secs_f64(args.interval))
        }
    };
    server::run(source, args.listen, |address| {
        // Whoever does not read it can still open the page.
        let _ = print(&format!("http://{address}/\n"));
    })
}
