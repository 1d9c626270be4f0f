use std::time::{Duration, Instant};

use super::*;
use crate::exposition::Page;
use crate::top::measure::{flows, Reading};

const CALL: &str = "source_cluster=\"east\",source_workload=\"web-v1\",source_workload_namespace=\"shop\",\
    source_canonical_service=\"web\",destination_cluster=\"west\",destination_workload=\"db-v1\",\
    destination_workload_namespace=\"data\",destination_service_name=\"db\",destination_service_namespace=\"data\"";

fn line(metric: &str, reporter: &str, more: &str, value: u32) -> String {
    format!("{metric}{{reporter=\"{reporter}\",{CALL}{more}}} {value}\n")
}

/// What a page shows ten seconds after one on which all was zero.
fn mesh(text: &str) -> Mesh {
    let now = Instant::now();
    let page = |text: &str| Page::parse(text, |_| true).unwrap();
    let before = Reading { at: now, page: page("") };
    let after = Reading { at: now.checked_add(Duration::from_secs(10)).unwrap(), page: page(text) };
    Mesh::of(&flows(Some(&before.counts()), &after))
}

fn place(cluster_id: &str, namespace: &str, name: &str) -> Place {
    Place { cluster_id: cluster_id.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
}

const HTTP: &str = ",request_protocol=\"http\",response_code=\"200\"";

#[test]
fn what_both_sides_report_counts_once_and_mutual_tls_is_what_the_destination_says() {
    let policy = |policy| format!("{HTTP},connection_security_policy=\"{policy}\"");
    let text = line("requests_total", "source", &policy("unknown"), 100)
        + &line("requests_total", "destination", &policy("mutual_tls"), 60)
        + &line("requests_total", "destination", &policy("none"), 20);
    let mesh = mesh(&text);
    assert_eq!(mesh.calls.len(), 1);
    let traffic = mesh.total();
    assert_eq!(traffic.http.requests, 10.0);
    assert_eq!(traffic.mutual_tls.ratio(), Some(0.75));
}

#[test]
fn whoever_alone_knows_nothing_of_mutual_tls_says_nothing() {
    let text =
        line("requests_total", "source", &format!("{HTTP},connection_security_policy=\"unknown\""), 100);
    assert_eq!(mesh(&text).total().mutual_tls.ratio(), None);
}

#[test]
fn a_graph_of_services_of_workloads_and_of_namespaces() {
    let mesh = mesh(&line("requests_total", "source", HTTP, 100));
    let ends = |level| mesh.graph(level).edges.into_keys().next().unwrap();
    assert_eq!(ends(Level::Service), (place("east", "shop", "web"), place("west", "data", "db")));
    assert_eq!(ends(Level::Workload), (place("east", "shop", "web-v1"), place("west", "data", "db-v1")));
    assert_eq!(ends(Level::Namespace), (place("east", "shop", ""), place("west", "data", "")));
}

#[test]
fn protocols_are_strands_of_one_edge() {
    let grpc = ",request_protocol=\"grpc\",response_code=\"200\",grpc_response_status=\"0\"";
    let text = line("requests_total", "source", HTTP, 100)
        + &line("requests_total", "source", grpc, 50)
        + &line("tcp_sent_bytes_total", "source", ",request_protocol=\"tcp\"", 70);
    let graph = mesh(&text).graph(Level::Service);
    let [strands] = graph.edges.values().collect::<Vec<_>>()[..] else { panic!("{graph:?}") };
    assert_eq!(strands.keys().copied().collect::<Vec<_>>(), [Protocol::Http, Protocol::Grpc, Protocol::Tcp]);
    assert_eq!(strands[&Protocol::Tcp].tcp_bytes(), 7.0);
}

#[test]
fn where_nobody_answered_is_what_was_called() {
    let text = line("requests_total", "source", HTTP, 100).replace("\"db-v1\"", "\"unknown\"");
    let (_, destination) = mesh(&text).graph(Level::Workload).edges.into_keys().next().unwrap();
    assert_eq!(destination, place("west", "data", "db"));
}

#[test]
fn what_rests_is_still_there() {
    let now = Instant::now();
    let page = || Page::parse(&line("requests_total", "source", HTTP, 100), |_| true).unwrap();
    let before = Reading { at: now, page: page() };
    let after = Reading { at: now.checked_add(Duration::from_secs(10)).unwrap(), page: page() };
    let mesh = Mesh::of(&flows(Some(&before.counts()), &after));
    assert!(mesh.total().is_idle());
    assert_eq!(mesh.graph(Level::Service).nodes.len(), 2);
}
