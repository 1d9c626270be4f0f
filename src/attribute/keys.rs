//! Where the modules, stock filters and Istio leave what is known of a stream's
//! peers.

/// Where the metadata exchange leaves the peer's metadata in the filter state: our
/// own keys, since writing Istio's would clash with its filters (istio/istio#60294).
pub const DOWNSTREAM_PEER_KEY: &str = "istio_stats.downstream_peer";
/// The same for the upstream peer.
pub const UPSTREAM_PEER_KEY: &str = "istio_stats.upstream_peer";
/// What the TCP exchange leaves there when it knows that no metadata will come.
pub const NO_PEER: &[u8] = b"-";
/// What the TCP exchange leaves when a connection begins as a frame does, but has
/// not brought all of it.
pub const FRAME_BEGUN_KEY: &str = "istio_stats.frame_begun";
/// Length of the frame that it took off what the client sent, and of what was
/// counted twice while the frame was unfinished, as text.
pub const RECEIVED_FRAME_BYTES_KEY: &str = "istio_stats.received_frame_bytes";
/// Length of the frame that it answered the client with.
pub const SENT_FRAME_BYTES_KEY: &str = "istio_stats.sent_frame_bytes";

/// Namespace of the dynamic metadata where a stock filter leaves what peers tell.
pub const DYNAMIC_METADATA_NAMESPACE: &str = "istio_stats";
/// Its keys, for the downstream and for the upstream peer.
pub const DYNAMIC_METADATA_KEYS: [&str; 2] = ["downstream_peer", "upstream_peer"];

/// The attribute with what Istio writes of the workload behind an upstream host.
pub const ENDPOINT: [&str; 5] = ["xds", "upstream_host_metadata", "filter_metadata", "istio", "workload"];

/// The attribute with the counts that Envoy's `grpc_stats` filter keeps.
pub const MESSAGES: [&str; 2] = ["filter_state", "envoy.filters.http.grpc_stats"];

/// The attribute with the principal of whoever opened the tunnel (HBONE) that a
/// connection left, which has no TLS of its own.
pub const TUNNEL_PRINCIPAL: [&str; 2] = ["filter_state", "io.istio.peer_principal"];
