//! The fields of Envoy's attributes, as its own table of them has them. What is not
//! listed holds what others put there: metadata, filter state.

/// Those of a connection over TLS, to either side.
const TLS: [&str; 9] = [
    "tls_version",
    "subject_local_certificate",
    "subject_peer_certificate",
    "uri_san_local_certificate",
    "uri_san_peer_certificate",
    "dns_san_local_certificate",
    "dns_san_peer_certificate",
    "sha256_peer_certificate_digest",
    "peer_certificate",
];

/// The fields of each attribute that has a fixed set; TLS apart.
const FIELDS: [(&str, &[&str]); 7] = [
    (
        "request",
        &[
            "path",
            "url_path",
            "host",
            "scheme",
            "method",
            "headers",
            "referer",
            "useragent",
            "time",
            "id",
            "protocol",
            "query",
            "duration",
            "size",
            "total_size",
            "headers_bytes",
        ],
    ),
    (
        "response",
        &[
            "code",
            "code_details",
            "flags",
            "grpc_status",
            "headers",
            "trailers",
            "size",
            "total_size",
            "headers_bytes",
            "backend_latency",
        ],
    ),
    ("source", &["address", "port"]),
    ("destination", &["address", "port"]),
    (
        "connection",
        &["id", "mtls", "requested_server_name", "termination_details", "transport_failure_reason"],
    ),
    (
        "upstream",
        &[
            "address",
            "port",
            "local_address",
            "locality",
            "transport_failure_reason",
            "request_attempt_count",
            "cx_pool_ready_duration",
            "num_endpoints",
        ],
    ),
    (
        "xds",
        &[
            "node",
            "cluster_name",
            "cluster_metadata",
            "route_name",
            "route_metadata",
            "virtual_host_name",
            "virtual_host_metadata",
            "upstream_host_metadata",
            "upstream_host_locality_metadata",
            "filter_chain_name",
            "listener_metadata",
            "listener_direction",
        ],
    ),
];

/// The fields that an attribute can have; `None` if anything may be there.
pub(crate) fn of(attribute: &str) -> Option<impl Iterator<Item = &'static str>> {
    let (name, own) = FIELDS.iter().find(|(known, _)| *known == attribute)?;
    let tls: &[_] = if matches!(*name, "connection" | "upstream") { &TLS } else { &[] };
    Some(own.iter().chain(tls).copied())
}
