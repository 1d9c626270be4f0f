//! The service behind an upstream cluster. Istio's control plane writes it into the cluster's metadata as
//! a list of objects, of which this interface shows only that it is there. So the service is read from
//! texts that say the same; else, where the list is there, from the name that Istio gives the cluster.

use expressions::readable::UPSTREAM_CLUSTER;

use crate::abi::{owned, Filter, Metadata};

/// The namespace of those texts.
const NAMESPACE: &str = "istio-stats";
/// Fields of Istio's objects, and what the texts with the same are called.
const FIELDS: [(&str, &str); 3] =
    [("host", "service_host"), ("name", "service_name"), ("namespace", "service_namespace")];

/// One field, `host`, `name` or `namespace`.
pub(crate) fn field(filter: Filter, field: &str) -> Option<Vec<u8>> {
    let told = told(filter);
    if told.iter().any(Option::is_some) {
        let place = FIELDS.iter().position(|(name, _)| *name == field)?;
        return told.into_iter().nth(place)?;
    }
    of_name(&owned(|name| filter.text(UPSTREAM_CLUSTER, name))?, field)
}

/// Whether anything is known of the service.
pub(crate) fn is_known(filter: Filter) -> bool {
    told(filter).iter().any(Option::is_some)
        || (filter.metadata_length(Metadata::UpstreamCluster, "istio", "services") > 0
            && FIELDS.iter().any(|(name, _)| field(filter, name).is_some()))
}

fn told(filter: Filter) -> [Option<Vec<u8>>; FIELDS.len()] {
    let text = |key| owned(|text| filter.metadata_text(Metadata::UpstreamCluster, NAMESPACE, key, text));
    FIELDS.map(|(_, key)| text(key))
}

/// What the name of an upstream cluster tells: `outbound|80|v1|reviews.shop.svc.cluster.local`. A host
/// that is none of Kubernetes is its own name.
pub(crate) fn of_name(upstream_cluster: &[u8], field: &str) -> Option<Vec<u8>> {
    let text = part_of_name(core::str::from_utf8(upstream_cluster).ok()?, field)?;
    Some(text.as_bytes().to_vec())
}

fn part_of_name<'a>(upstream_cluster: &'a str, field: &str) -> Option<&'a str> {
    let mut parts = upstream_cluster.split('|');
    let (Some(_), Some(_), Some(_), Some(host), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let mut labels = host.split('.');
    let (name, namespace, svc) = (labels.next(), labels.next(), labels.next());
    let is_of_kubernetes = svc == Some("svc");
    match field {
        "host" => Some(host),
        "name" => {
            if is_of_kubernetes {
                name
            } else {
                Some(host)
            }
        }
        "namespace" => namespace.filter(|_| is_of_kubernetes),
        _ => None,
    }
    .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::part_of_name;

    #[test]
    fn the_name_of_an_upstream_cluster_tells_the_service() {
        let told = |name: &'static str| ["host", "name", "namespace"].map(|field| part_of_name(name, field));
        let host = "reviews.shop.svc.cluster.local";
        let expected = [Some(host), Some("reviews"), Some("shop")];
        assert_eq!(told("outbound|80||reviews.shop.svc.cluster.local"), expected);
        assert_eq!(told("outbound|80|v1|reviews.shop.svc.cluster.local"), expected);
        assert_eq!(
            told("outbound|443||api.example.com"),
            [Some("api.example.com"), Some("api.example.com"), None]
        );
        for name in ["inbound|8080||", "reviews", "", "a|b|c", "a|b|c|d|e"] {
            assert_eq!(told(name), [None; 3], "{name}");
        }
    }
}
