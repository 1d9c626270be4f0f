//! The proxy-wasm entry points: the SDK's traits, each method one call into the
//! plain structs that do the work.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext, StreamContext};
use proxy_wasm::types::{Action, ContextType};

use crate::attachment::Attachment;
use crate::attribute::era::Era;
use crate::attribute::Attributes;
use crate::exchange::http::HttpExchange;
use crate::exchange::tcp::TcpExchange;
use crate::exchange::Exchange;
use crate::host::wasm::WasmHost;
use crate::host::{Flow, Host as _};
use crate::stats::plugin::StatsPlugin;

#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

/// Makes this module the stats plugin. Called once, when a VM starts.
pub fn run_stats() {
    report_panics();
    proxy_wasm::set_root_context(|_| Box::new(StatsRoot::default()));
}

/// Makes this module the metadata exchange. Called once, when a VM starts.
pub fn run_exchange() {
    report_panics();
    proxy_wasm::set_root_context(|_| Box::new(ExchangeRoot::default()));
}

/// Into the host's log: std's own hook would need standard error, and more code
/// than all our logging (`istio-stats pack` cuts it off).
fn report_panics() {
    std::panic::set_hook(Box::new(|panic| WasmHost.log(log::Level::Error, &panic.to_string())));
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

#[derive(Default)]
struct ExchangeRoot(Rc<Exchange>);

struct ExchangeHttp {
    exchange: Rc<Exchange>,
    stream: HttpExchange,
}

struct ExchangeTcp {
    exchange: Rc<Exchange>,
    stream: TcpExchange,
}

fn context_type(attachment: Attachment) -> ContextType {
    match attachment {
        Attachment::Http => ContextType::HttpContext,
        Attachment::Tcp => ContextType::StreamContext,
    }
}

fn action(flow: Flow) -> Action {
    match flow {
        Flow::Continue => Action::Continue,
        Flow::Hold => Action::Pause,
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

// === impl ExchangeRoot ===

impl Context for ExchangeRoot {}

impl RootContext for ExchangeRoot {
    fn on_configure(&mut self, _configuration_bytes: usize) -> bool {
        self.0 = Rc::new(Exchange::configure(&WasmHost));
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(context_type(self.0.attachment(&WasmHost)))
    }

    fn create_stream_context(&self, _context_id: u32) -> Option<Box<dyn StreamContext>> {
        Some(Box::new(ExchangeTcp { exchange: self.0.clone(), stream: TcpExchange::default() }))
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(ExchangeHttp { exchange: self.0.clone(), stream: HttpExchange::default() }))
    }
}

// === impl ExchangeHttp ===

impl Context for ExchangeHttp {}

impl HttpContext for ExchangeHttp {
    fn on_http_request_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        self.stream.on_request_headers(&self.exchange, &WasmHost);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _headers: usize, _end_of_stream: bool) -> Action {
        self.stream.on_response_headers(&self.exchange, &WasmHost);
        Action::Continue
    }
}

// === impl ExchangeTcp ===

impl Context for ExchangeTcp {}

impl StreamContext for ExchangeTcp {
    fn on_downstream_data(&mut self, len_bytes: usize, end_of_stream: bool) -> Action {
        let exchange = &self.exchange;
        action(self.stream.on_downstream_data(exchange, &WasmHost, len_bytes, end_of_stream))
    }

    fn on_upstream_data(&mut self, len_bytes: usize, end_of_stream: bool) -> Action {
        let exchange = &self.exchange;
        action(self.stream.on_upstream_data(exchange, &WasmHost, len_bytes, end_of_stream))
    }
}
