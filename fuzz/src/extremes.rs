//! Configurations at their extremes: numbers, texts and lists that nobody meant, in
//! every field that there is. The plugin counts each request all the same, on a host
//! that defines series in the background, and says few things of bounded length.

use std::time::{Duration, Instant};

use istio_stats::attachment::Attachment;
use istio_stats::catalogue::metric::Metric;
use istio_stats::config::bounds::{MAX_CONDITIONS, MAX_DEFINITIONS, MAX_LABELS};
use istio_stats::config::issue::MAX_SHOWN;
use istio_stats::config::Config;
use istio_stats::host::fake::{FakeHost, Hostcall, Phase};
use istio_stats::host::Host as _;
use istio_stats::rules::plan::{Conditions, Plans};
use istio_stats::stats::plugin::StatsPlugin;
use serde_json::{json, Map, Value};

use super::input::Input;

/// More than a list may hold.
const MANY: usize = 300;

/// More than a text may hold.
const LONG: usize = 5000;

/// Longer than anybody waits for the host, or for a report.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many requests are served.
const REQUESTS: u16 = 3;

pub fn run(data: &[u8]) {
    let configuration = object("", &mut Input(data));
    counts(&configuration.to_string());
}

/// Values that are the least, the greatest, or none at all.
pub fn scalars() -> Vec<Value> {
    let texts = [
        "",
        "0",
        "1",
        "-1",
        "0s",
        "1ns",
        "0.4ms",
        "1ms",
        "99.9ms",
        "100ms",
        "24h",
        "24h1ns",
        "-1s",
        ".s",
        "1e9s",
        "0.0000000001s",
        "18446744073709551615ns",
        "18446744073709551616s",
        "500",
        "a",
        "_",
        "istio_",
        "1 == 1",
    ];
    let numbers = [
        json!(0),
        json!(1),
        json!(-1),
        json!(2),
        json!(0.5),
        json!(-0.0),
        json!(7.0),
        json!(1e-308),
        json!(1e308),
        json!(u32::MAX),
        json!(u64::from(u32::MAX) + 1),
        json!(i64::MIN),
        json!(u64::MAX),
    ];
    let others = [Value::Null, json!(true), json!(false), json!({}), json!([]), json!("x".repeat(LONG))];
    texts.into_iter().map(Value::from).chain(numbers).chain(others).collect()
}

fn object(path: &str, input: &mut Input<'_>) -> Value {
    let mut fields = Map::new();
    for field in Config::fields(path) {
        if input.flag() {
            let path = if path.is_empty() { field.name.to_owned() } else { format!("{path}.{}", field.name) };
            fields.insert(field.name.to_owned(), value(&path, input));
        }
    }
    Value::Object(fields)
}

fn value(path: &str, input: &mut Input<'_>) -> Value {
    let is_many = |input: &mut Input<'_>| [1, 2, 3, 4, 5, 6, 7, MANY][input.below(8)];
    match input.below(5) {
        0 => object(path, input),
        1 => {
            let entry = object(&format!("{path}[]"), input);
            (0..is_many(input)).map(|n| numbered(&entry, n)).collect()
        }
        2 => (0..is_many(input)).map(|n| json!(format!("x{n}"))).collect(),
        3 => Value::Object((0..is_many(input)).map(|n| (format!("x{n}"), json!(format!("'{n}'")))).collect()),
        _ => {
            let scalars = scalars();
            scalars[input.below(scalars.len())].clone()
        }
    }
}

/// The same with another name, since many of one name are one.
fn numbered(entry: &Value, n: usize) -> Value {
    let mut entry = entry.clone();
    if let Some(name) = entry.get_mut("name") {
        *name = json!(format!("x{n}"));
    }
    entry
}

/// Serves requests with this configuration, which is usable, and finds them counted.
pub fn counts(configuration: &str) {
    let (config, _) = Config::compile(configuration.as_bytes());
    let config = config.unwrap_or_else(|| panic!("unusable: {configuration}"));
    let main = Vm::new(FakeHost::new().with_queues(), configuration);
    let worker = Vm::new(main.host.another_vm(), configuration);
    // Each expression is tried by itself first.
    let expressions = 2 * (MAX_DEFINITIONS + MAX_LABELS) + MAX_CONDITIONS;
    assert!(main.host.calls(Hostcall::CreateExpression) <= expressions, "{configuration}");
    let lines = main.host.log_lines();
    assert!(lines.len() <= MAX_SHOWN + 2, "{lines:?}");
    assert!(lines.iter().all(|(_, line)| line.len() < 1000), "{lines:?}");
    for code in 200..200 + REQUESTS {
        worker.serve(code);
    }
    let expected = match Plans::new(&config).variant(Conditions::EMPTY).plan(Metric::Requests.into()) {
        // `1` means TCP, which requests are not.
        Some(_) if config.attachment != Some(Attachment::Tcp) => REQUESTS.into(),
        _ => 0,
    };
    let counted = || counted(&main.host, &format!("{}{}", config.metric_prefix, Metric::Requests.name()));
    let begin = main.host.now();
    let mut vms = [main.due(), worker.due()];
    while counted() < expected && main.host.now() < begin + PATIENCE {
        // Whoever is due first; who asked for no ticks gets none.
        let next = vms.iter().flatten().min().copied();
        let Some(next) = next else { break };
        main.host.advance(next - main.host.now());
        for (due, vm) in vms.iter_mut().zip([&main, &worker]) {
            if *due == Some(next) {
                vm.tick();
                *due = vm.due();
            }
        }
    }
    assert_eq!(counted(), expected, "with {configuration}");
}

fn counted(host: &FakeHost, metric: &str) -> u64 {
    let names = host.stat_names().into_iter().map(|(_, name)| name);
    names
        .filter(|name| name.rsplit(";.;").next() == Some(metric))
        .filter_map(|name| host.counter(&name))
        .sum()
}

struct Vm {
    host: FakeHost,
    plugin: StatsPlugin,
}

// === impl Vm ===

impl Vm {
    fn new(host: FakeHost, configuration: &str) -> Self {
        host.set_plugin_configuration(configuration);
        let plugin = StatsPlugin::configure(&host).expect("a usable configuration");
        Self { host, plugin }
    }

    fn serve(&self, code: u16) {
        let Self { host, plugin } = self;
        let id = host.open_stream();
        host.set_attribute(&["request", "protocol"], "HTTP/1.1");
        host.set_attribute(&["response", "code"], i64::from(code));
        let attachment = plugin.attachment(host);
        plugin.on_open(host, id, attachment);
        host.enter_stream(id, Phase::Log);
        plugin.on_log(host, id, attachment);
        plugin.on_close(id);
        host.close_stream(id);
    }

    /// When its next tick is.
    fn due(&self) -> Option<Instant> {
        Some(self.host.now() + self.host.tick_period()?)
    }

    fn tick(&self) {
        self.host.enter(Phase::Tick);
        self.plugin.on_tick(&self.host);
    }
}
