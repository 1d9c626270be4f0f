//! What a configuration asks of a form (HTTP filter, network filter, access logger)
//! that this form cannot do. docs/install.md has the table.

use super::compile::Compiled;
use super::problem::{Level, Problem, Problems};
use crate::find::found::{Form, Found};

/// Checks what was found, as far as it is known what it extends.
pub(super) fn check(found: &Found, compiled: &Compiled, problems: &mut Problems) {
    let Some(form) = found.form else {
        return;
    };
    let mut warn = |path: &str, message: String, suggestion: &str| {
        let problem = Problem::of_field(Level::Warning, found, path, message);
        problems.push(problem.suggest(suggestion.to_owned()));
    };
    if form == Form::Service {
        return warn(
            "",
            "a bootstrap extension sees no stream: it does nothing".to_owned(),
            "make it a filter",
        );
    }
    match compiled {
        Compiled::Nothing => {}
        Compiled::Exchange(_) if form == Form::AccessLogger => {
            let message =
                "an access logger hears of a stream when it is over: nothing is exchanged".to_owned();
            warn("", message, "make it a filter, or exchange by stock filters: istio-stats peer-header");
        }
        Compiled::Exchange(_) => {}
        Compiled::Stats(config) => {
            let tree = found.configuration.tree.as_ref();
            let says_period = tree.is_some_and(|tree| tree.get("tcp_reporting_duration").is_some());
            if form == Form::AccessLogger && says_period && !config.reporting_period.is_zero() {
                let message =
                    "an access logger hears of a stream when it is over: there are no reports before";
                let suggestion = "leave the field out, or make it a filter";
                warn("tcp_reporting_duration", message.to_owned(), suggestion);
            }
            for change in &config.overrides {
                let is_counted =
                    |name: &str| form.attachment().is_none_or(|attachment| attachment.counts_in(name));
                if let Some(name) = change.name.as_deref().filter(|name| !is_counted(name)) {
                    let message = format!("the {} records no {name}", form.word());
                    warn(&format!("{}.name", change.path), message, "leave the entry out here");
                }
            }
        }
    }
}
