//! `istio-stats plan`: what a mesh of some size takes of Prometheus, and what would make it less.

#[cfg(test)]
mod figures;
mod levers;
mod measured;
mod mesh;
mod model;
mod show;

use anyhow::Result;
use istio_stats::catalogue::metric::PREFIX;

use crate::endpoint::Endpoint;
use crate::names::parse_prefix;
use crate::output::print;
use measured::measure;
use mesh::Mesh;
use model::{usual_labels, Form, BUCKETS, HTTP};

/// Says how many series, bytes and how much memory a mesh takes, and what each setting would save.
///
/// From numbers; or, with URLs, from what running proxies have: they stand for all. docs/scale.md has the model, and what
/// was measured beside what it says.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Admin interfaces, or pages in the Prometheus text format, of proxies that stand for all
    urls: Vec<String>,
    /// How many Kubernetes clusters there are
    #[arg(long, default_value_t = 1, value_name = "COUNT")]
    kubernetes_clusters: u32,
    /// Workloads in each of them
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    workloads: u32,
    /// Pods of each workload
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pods: u32,
    /// Workloads that each calls, and that call it
    #[arg(long, default_value_t = 5, value_name = "COUNT", conflicts_with = "urls")]
    peers: u32,
    /// Different ends of requests to each: codes, flags, gRPC status
    #[arg(long, default_value_t = 3, value_name = "COUNT", conflicts_with = "urls")]
    outcomes: u32,
    /// Workloads that each is connected to over TCP, and that connect to it
    #[arg(long, default_value_t = 0, value_name = "COUNT", conflicts_with = "urls")]
    tcp_peers: u32,
    /// How the proxies are scraped
    #[arg(long, value_enum, default_value_t = Form::Text)]
    form: Form,
    /// Seconds between two scrapes
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    scrape_interval: u32,
    /// What the metrics' names begin with: metric_prefix in the plugin's configuration
    #[arg(long, value_name = "PREFIX", default_value = PREFIX, value_parser = parse_prefix)]
    metric_prefix: String,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// A proxy that was named does not answer.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mesh = mesh(args)?;
    let interval = f64::from(args.scrape_interval);
    print(&if args.json {
        format!("{:#}\n", show::json(&mesh, interval))
    } else {
        show::text(&mesh, interval)
    })?;
    Ok(())
}

fn mesh(args: &Args) -> Result<Mesh> {
    let (http, tcp, labels) = if args.urls.is_empty() {
        // Each proxy reports what it calls, and who calls it.
        let [peers, outcomes, tcp] = [args.peers, args.outcomes, args.tcp_peers].map(f64::from);
        (2.0 * peers * outcomes, 2.0 * tcp, usual_labels(&[]))
    } else {
        let endpoints: Result<Vec<_>> = args.urls.iter().map(|url| Endpoint::new(url)).collect();
        let found = measure(&endpoints?, &args.metric_prefix)?;
        (found.http, found.tcp, found.labels)
    };
    Ok(Mesh {
        kubernetes_clusters: args.kubernetes_clusters.into(),
        workloads: args.workloads.into(),
        pods: args.pods.into(),
        http,
        tcp,
        labels,
        form: args.form,
        buckets: BUCKETS,
        histograms: HTTP.histograms,
    })
}
