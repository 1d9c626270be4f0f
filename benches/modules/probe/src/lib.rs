//! A bench-only module: makes the hostcalls that its configuration lists, once
//! per request, and does nothing else. So the cost of each kind of hostcall is
//! measured in the whole request, not in a loop.
//!
//! The configuration is text, one step per line:
//!
//! ```text
//! get response.code            one attribute; `/` separates the steps of a path that has dots
//! cel [response.code, 1]       one evaluation
//! headers                      all request headers
//! records                      1 counter, 3 histograms, by ids that are cached
//! ```
//!
//! A step that does not do what it says (an absent attribute, a failed
//! evaluation) is counted in `bench_failed_steps`, the others in
//! `bench_steps`, at every 1000th request.

#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro writes the entry point without")]

use std::cell::Cell;
use std::rc::Rc;

use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel, MapType, MetricType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Warn);
    proxy_wasm::set_root_context(|_| Box::new(Root(Rc::default())));
}}

enum Step {
    Get(Vec<String>),
    Evaluate([u8; 4]),
    Headers,
    Records([u32; 4]),
}

#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    done: u32,
    failed: u32,
    requests: Cell<u64>,
}

struct Root(Rc<Plan>);

struct Request(Rc<Plan>);

// === impl Plan ===

impl Plan {
    fn parse(text: &str) -> Option<Self> {
        let steps = text.lines().map(Step::parse).collect::<Option<Vec<_>>>()?;
        let counter = |name| hostcalls::define_metric(MetricType::Counter, name).ok();
        Some(Self {
            steps,
            done: counter("bench_steps")?,
            failed: counter("bench_failed_steps")?,
            requests: Cell::default(),
        })
    }

    fn run(&self) {
        let number = self.requests.get();
        self.requests.set(number.wrapping_add(1));
        for step in &self.steps {
            let done = step.run();
            if number % 1000 == 0 {
                let metric = if done { self.done } else { self.failed };
                let _ = hostcalls::increment_metric(metric, 1);
            }
        }
    }
}

// === impl Step ===

impl Step {
    fn parse(line: &str) -> Option<Self> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "get" => {
                let separator = if rest.contains('/') { '/' } else { '.' };
                Some(Self::Get(rest.split(separator).map(str::to_owned).collect()))
            }
            "cel" => {
                let token = hostcalls::call_foreign_function("expr_create", Some(rest.as_bytes())).ok()??;
                Some(Self::Evaluate(token.try_into().ok()?))
            }
            "headers" => Some(Self::Headers),
            "records" => {
                let define = |kind, name| hostcalls::define_metric(kind, name).ok();
                Some(Self::Records([
                    define(MetricType::Counter, "bench_requests")?,
                    define(MetricType::Histogram, "bench_duration")?,
                    define(MetricType::Histogram, "bench_request_bytes")?,
                    define(MetricType::Histogram, "bench_response_bytes")?,
                ]))
            }
            _ => None,
        }
    }

    fn run(&self) -> bool {
        match self {
            Self::Get(path) => {
                let path = path.iter().map(String::as_str).collect();
                matches!(hostcalls::get_property(path), Ok(Some(_)))
            }
            Self::Evaluate(token) => {
                matches!(hostcalls::call_foreign_function("expr_evaluate", Some(token)), Ok(Some(_)))
            }
            Self::Headers => hostcalls::get_map_bytes(MapType::HttpRequestHeaders).is_ok(),
            Self::Records([counter, histograms @ ..]) => {
                let counted = hostcalls::increment_metric(*counter, 1).is_ok();
                histograms.iter().fold(counted, |ok, id| hostcalls::record_metric(*id, 7).is_ok() && ok)
            }
        }
    }
}

// === impl Root ===

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        let bytes = hostcalls::get_buffer(proxy_wasm::types::BufferType::PluginConfiguration, 0, size);
        let text = bytes.ok().flatten().unwrap_or_default();
        match core::str::from_utf8(&text).ok().and_then(Plan::parse) {
            Some(plan) => self.0 = Rc::new(plan),
            None => return false,
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request(self.0.clone())))
    }

    fn on_log(&mut self) {
        self.0.run();
    }
}

// === impl Request ===

impl Context for Request {}

impl HttpContext for Request {
    fn on_log(&mut self) {
        self.0.run();
    }
}
