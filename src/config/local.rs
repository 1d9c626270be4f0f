//! Local facts given in the configuration, for proxies whose node metadata
//! cannot be set. Shared by both plugins, which must agree on who they are.

use super::reader::Object;

macro_rules! overrides {
    ($($fact:ident $key:literal $doc:literal,)*) => {
        /// Overrides of the node metadata; `None` keeps what the node says.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct LocalOverrides {
            $(#[doc = $doc] pub $fact: Option<String>,)*
        }

        impl LocalOverrides {
            /// Reads the object `local` of a plugin configuration.
            pub fn read(config: &mut Object<'_>) -> Self {
                let read = |local: &mut Object<'_>| {
                    Self { $($fact: local.string($key),)* }
                };
                config.object("local", read).unwrap_or_default()
            }

            /// Each with its key in a configuration.
            pub fn by_key(&self) -> [(&'static str, &Option<String>); [$($key),*].len()] {
                [$(($key, &self.$fact)),*]
            }
        }
    };
}

overrides! {
    workload_name "workload_name" "Replaces `WORKLOAD_NAME`.",
    namespace "namespace" "Replaces `NAMESPACE`.",
    cluster_id "cluster_id" "Replaces `CLUSTER_ID`.",
    app "app" "Replaces the label `app`.",
    app_version "version" "Replaces the label `version`.",
    canonical_service "canonical_service" "Replaces the label `service.istio.io/canonical-name`.",
    canonical_revision "canonical_revision" "Replaces the label `service.istio.io/canonical-revision`.",
}
