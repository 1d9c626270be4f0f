use super::*;
use crate::top::latency::Buckets;
use crate::top::rows::{Http, Tcp};

fn row(source: &str, http: Option<Http>, tcp: Option<Tcp>) -> Row {
    let labels = vec![
        ("source_cluster", source.to_owned()),
        ("destination_cluster", "west".to_owned()),
        ("destination_service_name", "db".to_owned()),
        ("destination_service_namespace", "shop".to_owned()),
        ("reporter", "source".to_owned()),
    ];
    Row { labels, http, tcp }
}

fn http() -> Http {
    let mut duration_ms = Buckets::default();
    for (bound, sum) in [(5.0, 50.0), (10.0, 100.0), (f64::INFINITY, 100.0)] {
        duration_ms.add(bound, sum);
    }
    Http { requests: 1234.5, failed: 1.0, duration_ms }
}

const TCP: Tcp = Tcp { open: 1.0, opened: 11.0, received_bytes: 99.0, sent_bytes: 1_500_000.0 };

#[test]
fn tables_are_aligned_and_namespaces_stand_before_names() {
    let rows = [row("east", Some(http()), None), row("far-away", None, Some(TCP))];
    assert_eq!(
            table(&rows, By::Service, Unit::PerSecond),
            [
                "source_cluster  destination_cluster  destination_service_name  reporter  req/s  success  p50 ms  p99 ms  \
                 tcp open  opened/s  B/s in  B/s out",
                "──────────────  ───────────────────  ────────────────────────  ────────  ─────  ───────  ──────  ──────  \
                 ────────  ────────  ──────  ───────",
                "east            west                 shop/db                   source     1.2k   99.92%     5.0     9.9  \
                 \u{20}      -         -       -        -",
                "far-away        west                 shop/db                   source        -        -       -       -  \
                 \u{20}      1      11.0      99     1.5M",
            ]
        );
}

#[test]
fn an_unknown_namespace_says_nothing() {
    let mut nowhere = row("east", None, Some(TCP));
    nowhere.labels[2].1 = "nowhere.test".to_owned();
    nowhere.labels[3].1 = UNKNOWN.to_owned();
    assert!(table(&[nowhere], By::Service, Unit::Total)[2].contains("  nowhere.test  "));
}

#[test]
fn columns_without_any_value_are_left_out() {
    let head = |rows: &[Row]| table(rows, By::Cluster, Unit::Total).swap_remove(0);
    assert!(head(&[row("east", Some(http()), None)]).ends_with("reporter  requests  success  p50 ms  p99 ms"));
    assert!(head(&[row("east", None, Some(TCP))]).ends_with("tcp open  opened  bytes in  bytes out"));
    assert_eq!(head(&[]), "source_cluster  destination_cluster  reporter");
}

#[test]
fn scripts_get_labels_and_plain_numbers() {
    let json = json(&[row("east", Some(http()), None)], By::Service, Whose::Auto, Unit::Total);
    assert_eq!((json["unit"].as_str(), json["by"].as_str()), (Some("total"), Some("service")));
    let row = &json["rows"][0];
    assert_eq!(row["destination_service_namespace"], "shop");
    assert_eq!(row["requests"].to_string(), "1234.5");
    assert_eq!(row["p50_ms"].to_string(), "5.0");
    assert_eq!(row["tcp_open"], Value::Null);
}

#[test]
fn numbers_are_short_and_never_say_too_much() {
    assert_eq!([0.0, 0.034, 12.34, 1500.0].map(rate), ["0", "0.03", "12.3", "1.5k"]);
    assert_eq!(
        [0.0, 999.0, 1000.0, 2.5e6, 3e9, 4e12].map(scaled),
        ["0", "999", "1.0k", "2.5M", "3.0G", "4.0T"]
    );
    assert_eq!(
        [1.0, 0.999_999, 0.9990, 0.5, 0.000_001, 0.0].map(percent),
        ["100%", "99.99%", "99.90%", "50.00%", "0.01%", "0%"]
    );
}
