//! What is looked at: all of it stands in the address, so that it can be sent to others.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::mesh::{Level, Mesh, Place};

/// The address behind the question mark.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct View {
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) by: Level,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) range: Range,
    /// A Kubernetes cluster's name.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) cluster: String,
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) namespace: String,
    /// Of a service or a workload.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) name: String,
    /// What names have to contain.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) q: String,
    /// A column's key; with a minus in front the other way round.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) sort: String,
    /// Whether the page stays as it is.
    #[serde(skip_serializing_if = "is_default")]
    pub(crate) paused: bool,
}

/// Over which time rates are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
pub(crate) enum Range {
    #[serde(rename = "1m")]
    Minute,
    #[default]
    #[serde(rename = "5m")]
    Minutes,
    #[serde(rename = "30m")]
    HalfHour,
    #[serde(rename = "6h")]
    Hours,
}

// === impl View ===

impl View {
    /// The address of a page that shows this.
    pub(crate) fn href(&self, path: &str) -> String {
        match serde_urlencoded::to_string(self) {
            Ok(query) if !query.is_empty() => format!("{path}?{query}"),
            _ => path.to_owned(),
        }
    }

    /// The same way to look, at one service or workload.
    pub(crate) fn at(&self, place: &Place) -> Self {
        Self {
            cluster: place.cluster_id.clone(),
            namespace: place.namespace.clone(),
            name: place.name.clone(),
            ..self.everything()
        }
    }

    /// The same way to look, at the whole mesh.
    pub(crate) fn everything(&self) -> Self {
        Self { by: self.by, range: self.range, paused: self.paused, ..Self::default() }
    }

    /// What one service or workload is called.
    pub(crate) fn place(&self) -> Place {
        Place { cluster_id: self.cluster.clone(), namespace: self.namespace.clone(), name: self.name.clone() }
    }

    /// Whether anything is left out.
    pub(crate) fn filters(&self) -> bool {
        !(self.cluster.is_empty() && self.namespace.is_empty() && self.q.is_empty())
    }

    /// The calls that have anything to do with what is wanted.
    pub(crate) fn of(&self, mesh: &Mesh) -> Mesh {
        mesh.filtered(|call| {
            let ends = [&call.source, &call.caller(), &call.service, &call.destination];
            ends.iter().any(|place| self.wants(place))
        })
    }

    /// Whether it is there, and called so.
    pub(crate) fn wants(&self, place: &Place) -> bool {
        let q = self.q.to_lowercase();
        (self.cluster.is_empty() || place.cluster_id == self.cluster)
            && (self.namespace.is_empty() || place.namespace == self.namespace)
            && (q.is_empty()
                || [&place.name, &place.namespace].iter().any(|text| text.to_lowercase().contains(&q)))
    }
}

// === impl Range ===

impl Range {
    pub(crate) const ALL: [Self; 4] = [Self::Minute, Self::Minutes, Self::HalfHour, Self::Hours];

    pub(crate) fn promql(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Minutes => "5m",
            Self::HalfHour => "30m",
            Self::Hours => "6h",
        }
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Minutes => 300,
            Self::HalfHour => 1800,
            Self::Hours => 21_600,
        })
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_the_whole_view() {
        let view = View {
            by: Level::Workload,
            range: Range::HalfHour,
            cluster: "a&b=c #?%\"<".to_owned(),
            sort: "-errors".to_owned(),
            paused: true,
            ..View::default()
        };
        let address = view.href("/services");
        let query = address.strip_prefix("/services?").unwrap();
        assert_eq!(serde_urlencoded::from_str::<View>(query).unwrap(), view);
        assert_eq!(View::default().href("/"), "/");
    }
}
