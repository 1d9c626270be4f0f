//! Settings that cost a proxy more than they tell.

use std::time::Duration;

use istio_stats::config::Config;

use super::problem::{Level, Problem, Problems};
use crate::find::found::Found;

/// A shorter period than this is hardly scraped.
const SHORT: Duration = Duration::from_secs(1);

/// Label sets of one worker that take a gigabyte.
const MANY_SERIES: u32 = 100_000;

/// Expressions that take some 0.1 ms of each request.
const MANY_EXPRESSIONS: usize = 16;

/// Checks what a configuration costs.
pub(super) fn check(found: &Found, config: &Config, problems: &mut Problems) {
    let mut warn = |path: &str, message: String, suggestion: &str| {
        let problem = Problem::of_field(Level::Warning, found, path, message);
        problems.push(problem.suggest(suggestion.to_owned()));
    };
    let period = config.reporting_period;
    if !period.is_zero() && period < SHORT {
        let message = format!("every {period:?} each worker goes through all that is open");
        warn("tcp_reporting_duration", message, "say \"1s\" or more: Prometheus asks less often");
    }
    if config.max_series > MANY_SERIES {
        let message = format!("{} label sets take Envoy some 10 kB each, per worker", config.max_series);
        warn("max_series", message, "leave labels out with labels or tags_to_remove instead");
    }
    let expressions = expressions(config);
    if expressions > MANY_EXPRESSIONS {
        let message =
            format!("{expressions} expressions are evaluated for each request, in 5 µs and more each");
        warn("", message, "leave out what nobody looks at");
    }
}

fn expressions(config: &Config) -> usize {
    let of_labels = config.overrides.iter().flat_map(|change| change.dimensions.iter().map(|(_, text)| text));
    let conditions = config.overrides.iter().filter_map(|change| change.condition.as_ref());
    let mut distinct: Vec<_> = of_labels.chain(conditions).collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct.len().saturating_add(config.definitions.len())
}
