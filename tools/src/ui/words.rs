//! What codes and flags mean, in words.

/// Of each flag what happened, and whether a TCP connection with it failed. Others, such
/// as a client that leaves, are how connections end.
const FLAGS: [(&str, &str, bool); 30] = [
    ("LH", "the host failed its health check", true),
    ("UH", "no healthy host in the upstream cluster", true),
    ("UT", "the upstream took too long to answer", true),
    ("LR", "the connection was reset here", true),
    ("UR", "the upstream reset the stream", true),
    ("UF", "no connection to the upstream", true),
    ("UC", "the upstream ended the connection", true),
    ("UO", "a circuit breaker is open", true),
    ("NR", "no route", true),
    ("DI", "delayed by fault injection", false),
    ("FI", "aborted by fault injection", true),
    ("RL", "rate limited", true),
    ("UAEX", "refused by external authorization", true),
    ("RLSE", "the rate limit service failed", true),
    ("DC", "the client disconnected", false),
    ("URX", "retries or connection attempts are used up", true),
    ("SI", "the stream was idle for too long", false),
    ("IH", "a header of Envoy's own had no valid value", true),
    ("DPE", "the client broke the protocol", true),
    ("UMSDR", "the stream reached its longest duration", false),
    ("RFCF", "answered from a cache", false),
    ("NFCF", "a filter's configuration did not come in time", true),
    ("DT", "the connection reached its longest duration", false),
    ("UPE", "the upstream broke the protocol", true),
    ("NC", "no such upstream cluster", true),
    ("OM", "ended by the overload manager", true),
    ("DF", "DNS did not resolve the upstream", true),
    ("DO", "dropped by the endpoints' policy for overload", true),
    ("DR", "the client reset the stream", false),
    ("UDO", "dropped: the endpoints' policy drops all", true),
];

/// The names of gRPC's statuses, in their order.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Of the label `response_flags`, which may hold several.
pub(crate) fn flags(label: &str) -> String {
    let words = |flag: &str| match flag_of(flag) {
        Some((_, words, _)) => (*words).to_owned(),
        None => format!("{flag}, a flag this command does not know"),
    };
    match label {
        "-" | "" => String::new(),
        label => label.split(',').map(words).collect::<Vec<_>>().join("; "),
    }
}

/// Whether a TCP connection with these flags failed.
pub(crate) fn is_failure(label: &str) -> bool {
    label.split(',').filter_map(flag_of).any(|(_, _, failed)| *failed)
}

/// The status by its number.
pub(crate) fn grpc(status: &str) -> String {
    let name = status.parse().ok().and_then(|number: usize| GRPC.get(number));
    name.map_or_else(|| status.to_owned(), |name| format!("{status} {name}"))
}

/// Of an HTTP code that is no plain answer of a server.
pub(crate) fn code(code: &str) -> &'static str {
    match code {
        "0" => "no response: the client left, or the connection broke",
        "404" => "not found",
        "429" => "too many requests",
        "500" => "the server failed",
        "502" => "a bad answer from the upstream",
        "503" => "unavailable",
        "504" => "timed out",
        _ => "",
    }
}

fn flag_of(flag: &str) -> Option<&'static (&'static str, &'static str, bool)> {
    FLAGS.iter().find(|(name, _, _)| *name == flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_in_words() {
        assert_eq!(FLAGS.map(|(name, _, _)| name), istio_stats::catalogue::response_flags::NAMES);
        assert_eq!(flags("-"), "");
        assert_eq!(
            flags("UF,URX"),
            "no connection to the upstream; retries or connection attempts are used up"
        );
        assert_eq!(flags("UF,4711").rsplit("; ").next(), Some("4711, a flag this command does not know"));
    }

    #[test]
    fn a_client_that_leaves_is_no_failure() {
        assert!(is_failure("UF,URX") && is_failure("DC,UF") && is_failure("NR"));
        assert!(!is_failure("DC") && !is_failure("-") && !is_failure("") && !is_failure("4711"));
    }

    #[test]
    fn statuses_by_name() {
        assert_eq!([grpc("0"), grpc("14"), grpc("99"), grpc("x")], ["0 OK", "14 UNAVAILABLE", "99", "x"]);
    }
}
