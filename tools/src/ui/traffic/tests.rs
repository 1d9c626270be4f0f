use super::*;
use crate::exposition::Labels;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels(pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect())
}

fn add(traffic: &mut Traffic, measure: Measure, pairs: &[(&str, &str)], rate: f64) {
    traffic.add(&Flow { measure, labels: &labels(pairs), total: 0.0, rate: Some(rate) });
}

#[test]
fn the_errors_are_those_of_the_outcomes() {
    let mut traffic = Traffic::default();
    let http = |code| [("request_protocol", "http"), ("response_code", code)];
    add(&mut traffic, Measure::Requests, &http("200"), 6.0);
    add(&mut traffic, Measure::Requests, &http("404"), 1.0);
    add(&mut traffic, Measure::Requests, &http("503"), 1.0);
    let grpc = [("request_protocol", "grpc"), ("response_code", "200"), ("grpc_response_status", "14")];
    add(&mut traffic, Measure::Requests, &grpc, 1.0);
    assert_eq!(traffic.errors(), Some(2.0 / 9.0));
    add(&mut traffic, Measure::Closed, &[("response_flags", "UF,URX")], 1.0);
    add(&mut traffic, Measure::Closed, &[("response_flags", "DC")], 2.0);
    assert_eq!(traffic.errors(), Some(3.0 / 12.0));
    let failed = traffic.outcomes.iter().filter(|(outcome, _)| outcome.is_failure());
    assert_eq!(failed.map(|(_, rate)| rate).sum::<f64>(), 3.0);
}

#[test]
fn nothing_that_moves_has_no_error_share() {
    let mut traffic = Traffic::default();
    assert!(traffic.is_idle() && traffic.errors().is_none() && traffic.quantile_ms(0.99).is_none());
    add(&mut traffic, Measure::Received, &[], 10.0);
    assert!(!traffic.is_idle() && traffic.errors().is_none());
}

#[test]
fn sums_are_of_everything() {
    let mut one = Traffic::default();
    add(&mut one, Measure::Requests, &[("request_protocol", "http"), ("response_code", "500")], 2.0);
    add(&mut one, Measure::DurationBucket, &[("le", "5")], 2.0);
    add(&mut one, Measure::DurationBucket, &[("le", "+Inf")], 2.0);
    add(&mut one, Measure::Sent, &[], 7.0);
    one.mutual_tls = Share { part: 1.0, whole: 2.0 };
    let sum = Traffic::sum([&one, &one]);
    assert_eq!((sum.http.requests, sum.http.failed, sum.tcp.sent_bytes), (4.0, 4.0, 14.0));
    assert_eq!(sum.mutual_tls.ratio(), Some(0.5));
    assert_eq!(sum.quantile_ms(0.5), Some(2.5));
    assert_eq!(sum.outcomes.values().sum::<f64>(), 4.0);
}
