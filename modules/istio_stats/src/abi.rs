//! The proxy-wasm entry points: the SDK's traits, each method one call into the
//! plain structs that do the work.

use std::rc::Rc;

use istio_stats::attachment::Attachment;
use istio_stats::attribute::era::Era;
use istio_stats::attribute::Attributes;
use istio_stats::host::wasm::{report_panics, WasmHost};
use istio_stats::stats::plugin::StatsPlugin;
use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::ContextType;

/// Makes this module the stats plugin. Called once, when a VM starts.
pub(crate) fn run() {
    report_panics();
    proxy_wasm::set_root_context(|_| Box::new(StatsRoot::default()));
}

/// `None` inside: the configuration was unusable; streams pass unseen.
#[derive(Default)]
struct StatsRoot(Option<Rc<StatsPlugin>>);

struct StatsStream {
    plugin: Option<Rc<StatsPlugin>>,
    context_id: u32,
    attachment: Attachment,
    logged: bool,
}

fn context_type(attachment: Attachment) -> ContextType {
    match attachment {
        Attachment::Http => ContextType::HttpContext,
        Attachment::Tcp => ContextType::StreamContext,
    }
}

// === impl StatsRoot ===

impl StatsRoot {
    fn open(&self, context_id: u32, attachment: Attachment) -> StatsStream {
        if let Some(plugin) = &self.0 {
            plugin.on_open(&WasmHost, context_id, attachment);
        }
        StatsStream { plugin: self.0.clone(), context_id, attachment, logged: false }
    }
}

impl Drop for StatsRoot {
    fn drop(&mut self) {
        if let Some(plugin) = &self.0 {
            plugin.on_delete(&WasmHost);
        }
    }
}

impl Context for StatsRoot {}

impl RootContext for StatsRoot {
    fn on_configure(&mut self, _configuration_bytes: usize) -> bool {
        self.0 = StatsPlugin::configure(&WasmHost).map(Rc::new);
        // False would keep Envoy from starting, under every failure policy.
        true
    }

    fn on_tick(&mut self) {
        if let Some(plugin) = &self.0 {
            plugin.on_tick(&WasmHost);
        }
    }

    /// Only as an access logger: filters log their streams.
    fn on_log(&mut self) {
        if let Some(plugin) = &self.0 {
            plugin.on_access_log(&WasmHost);
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        let attachment = match &self.0 {
            Some(plugin) => plugin.attachment(&WasmHost),
            None => Attachment::of_stream(None, &Attributes::new(&WasmHost, Era::Xds)),
        };
        Some(context_type(attachment))
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(self.open(context_id, Attachment::Http)))
    }

    fn create_stream_context(&self, context_id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(self.open(context_id, Attachment::Tcp)))
    }
}

// === impl StatsStream ===

impl StatsStream {
    fn log(&mut self) {
        self.logged = true;
        if let Some(plugin) = &self.plugin {
            plugin.on_log(&WasmHost, self.context_id, self.attachment);
        }
    }
}

impl Context for StatsStream {}

impl HttpContext for StatsStream {
    fn on_log(&mut self) {
        self.log();
    }
}

impl StreamContext for StatsStream {
    fn on_log(&mut self) {
        self.log();
    }
}

impl Drop for StatsStream {
    /// The host deletes the context, and can still be asked about the stream.
    fn drop(&mut self) {
        if let Some(plugin) = &self.plugin {
            if !self.logged {
                plugin.on_unlogged(&WasmHost, self.context_id, self.attachment);
            }
            plugin.on_close(self.context_id);
        }
    }
}
