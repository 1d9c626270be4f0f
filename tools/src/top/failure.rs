//! What counts as a failure. `docs/dashboards.md` has the definition, and says why.

use istio_stats::catalogue::dimension::Dimension;

use crate::exposition::Labels;

/// The first digit of an HTTP status.
const RESPONSE_CODE: char = '5';
/// Statuses of gRPC that stand for such a status.
const GRPC_STATUSES: [&str; 6] = ["2", "4", "12", "13", "14", "15"];
/// Envoy's response flags: the way to the server broke off.
const RESPONSE_FLAGS: [&str; 8] = ["LR", "UC", "UF", "UH", "UO", "UPE", "UR", "UT"];

/// Whether requests with these labels failed. A client that leaves is no failure.
pub(crate) fn failed(labels: &Labels) -> bool {
    let value = |label: Dimension| labels.get(label.name()).unwrap_or_default();
    is_failure(
        value(Dimension::ResponseCode),
        value(Dimension::GrpcResponseStatus),
        value(Dimension::ResponseFlags),
    )
}

/// The same of those that tell it.
pub(crate) fn is_failure(response_code: &str, grpc_status: &str, response_flags: &str) -> bool {
    response_code.starts_with(RESPONSE_CODE)
        || GRPC_STATUSES.contains(&grpc_status)
        || response_flags.split(',').any(|flag| RESPONSE_FLAGS.contains(&flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_fails_by_its_code_its_grpc_status_or_its_flags() {
        for (code, status, flags, fails) in [
            ("200", "", "-", false),
            ("404", "", "-", false),
            ("503", "", "UF,URX", true),
            // The client left, before and after the response had begun.
            ("0", "", "DC", false),
            ("0", "", "DR", false),
            ("200", "", "DR", false),
            ("200", "1", "-", false),
            // Statuses that are answers, and those that stand for a 5xx.
            ("200", "0", "-", false),
            ("200", "5", "-", false),
            ("200", "8", "-", false),
            ("200", "2", "-", true),
            ("200", "14", "UF", true),
            ("503", "14", "-", true),
            // The server left, after the response had begun.
            ("200", "", "UC", true),
            ("200", "", "UR", true),
            ("200", "", "DC,UPE", true),
            ("0", "", "UH", true),
            // Folded; and left out, below.
            ("overflow", "overflow", "overflow", false),
        ] {
            let labels = [
                (Dimension::ResponseCode, code),
                (Dimension::GrpcResponseStatus, status),
                (Dimension::ResponseFlags, flags),
            ];
            let labels = labels.map(|(label, value)| (label.name().to_owned(), value.to_owned()));
            assert_eq!(failed(&Labels(labels.into())), fails, "{code} {status} {flags}");
        }
        assert!(!failed(&Labels(Vec::new())));
    }

    #[test]
    fn the_document_lists_them() {
        let document = include_str!("../../../docs/dashboards.md");
        let (_, table) = document.split_once("<!-- failures -->\n").unwrap();
        let column = |line: &str, n| line.split('|').nth(n).unwrap().replace('`', "").trim().to_owned();
        let rows: Vec<_> =
            table.lines().skip(2).take(3).map(|line| [column(line, 1), column(line, 2)]).collect();
        let expected = [
            ["response_code".to_owned(), format!("{RESPONSE_CODE}..")],
            ["grpc_response_status".to_owned(), GRPC_STATUSES.join(", ")],
            ["response_flags".to_owned(), RESPONSE_FLAGS.join(", ")],
        ];
        assert_eq!(rows, expected);
    }
}
