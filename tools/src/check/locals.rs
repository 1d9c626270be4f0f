//! Whether the two plugins of a proxy agree on who it is.

use istio_stats::workload::local::LocalOverrides;

use super::compile::{compile, Compiled};
use super::problem::{Level, Problem, Problems};
use crate::find::found::{File, Found};

/// Checks that `local` of every metadata exchange is that of a stats plugin in
/// the same file, if there is one.
pub(super) fn check(file: &File, problems: &mut Problems) {
    let (mut stats, mut exchanges) = (Vec::new(), Vec::new());
    for found in file.found() {
        let Ok(bytes) = &found.configuration.bytes else {
            continue;
        };
        match compile(found.artefact, bytes).0 {
            Compiled::Nothing => {}
            Compiled::Stats(config) => stats.push((found, config.local)),
            Compiled::Exchange(config) => exchanges.push((found, config.local)),
        }
    }
    for (found, local) in exchanges {
        let Some((other, theirs)) = stats.iter().find(|(_, theirs)| *theirs == local).or(stats.first())
        else {
            continue;
        };
        for difference in differences(&local, theirs) {
            problems.push(difference.problem(found, other));
        }
    }
}

struct Difference<'a> {
    field: &'static str,
    here: Option<&'a str>,
    there: Option<&'a str>,
}

// === impl Difference ===

impl Difference<'_> {
    fn problem(&self, found: &Found, other: &Found) -> Problem {
        let value = |value: Option<&str>| value.map_or("nothing".to_owned(), |v| format!("{v:?}"));
        let message = format!(
            "{} here, {} in istio_stats ({}): peers are told another workload than the metrics",
            value(self.here),
            value(self.there),
            other.place.join(", "),
        );
        let path = format!("local.{}", self.field);
        Problem::of_field(Level::Warning, found, &path, message).suggest("say the same in both".to_owned())
    }
}

fn differences<'a>(here: &'a LocalOverrides, there: &'a LocalOverrides) -> Vec<Difference<'a>> {
    let pairs = LocalOverrides::fields().map(|(field, fact)| (field, here.get(fact), there.get(fact)));
    let differ = pairs.filter(|(_, here, there)| here != there);
    differ.map(|(field, here, there)| Difference { field, here, there }).collect()
}
