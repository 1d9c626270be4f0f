//! The hostcalls by name, and what they return where they fail.

use crate::host::HostError;

/// The hostcalls that are counted and can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as the methods of Host")]
pub enum Hostcall {
    Property,
    SetProperty,
    Header,
    SetHeader,
    RemoveHeader,
    Data,
    ReplaceData,
    DefineMetric,
    IncrementMetric,
    RecordMetric,
    CreateExpression,
    EvaluateExpression,
    DeleteExpression,
    PluginConfiguration,
    SetTickPeriod,
    SetEffectiveContext,
    Log,
    SharedData,
    SetSharedData,
    SharedQueue,
    Enqueue,
    Dequeue,
}

// Statuses of the ABI that the core has no names for.
pub(super) const CAS_MISMATCH: u32 = 8;
/// Also for what the fake does not model.
pub(super) const INTERNAL_FAILURE: u32 = 10;
pub(super) const UNIMPLEMENTED: u32 = 12;

// === impl Hostcall ===

impl Hostcall {
    /// The error that this hostcall returns with a status.
    pub(super) fn error(self, status: u32) -> HostError {
        let call = match self {
            Self::Property => "proxy_get_property",
            Self::SetProperty => "proxy_set_property",
            Self::Header => "proxy_get_header_map_value",
            Self::SetHeader => "proxy_replace_header_map_value",
            Self::RemoveHeader => "proxy_remove_header_map_value",
            Self::Data => "proxy_get_buffer_bytes",
            Self::ReplaceData => "proxy_set_buffer_bytes",
            Self::DefineMetric => "proxy_define_metric",
            Self::IncrementMetric => "proxy_increment_metric",
            Self::RecordMetric => "proxy_record_metric",
            Self::CreateExpression => "expr_create",
            Self::EvaluateExpression => "expr_evaluate",
            Self::DeleteExpression => "expr_delete",
            Self::PluginConfiguration => "proxy_get_buffer_bytes",
            Self::SetTickPeriod => "proxy_set_tick_period_milliseconds",
            Self::SetEffectiveContext => "proxy_set_effective_context",
            Self::Log => "proxy_log",
            Self::SharedData => "proxy_get_shared_data",
            Self::SetSharedData => "proxy_set_shared_data",
            Self::SharedQueue => "proxy_register_shared_queue",
            Self::Enqueue => "proxy_enqueue_shared_queue",
            Self::Dequeue => "proxy_dequeue_shared_queue",
        };
        HostError { call, status }
    }
}
