//! `istio-stats check`: compiles plugin configurations and says what is wrong
//! with them, before a proxy does.

mod bootstrap;
mod compile;
mod configuration;
mod cost;
mod definitions;
mod form;
mod locals;
mod native;
mod node;
mod problem;
mod show;
mod suggest;

use std::path::PathBuf;

use anyhow::{ensure, Result};
use istio_stats::attachment::Attachment;

use crate::artefact::Artefact;
use crate::find;
use crate::find::found::{File, Form, Found};
use crate::migrate::source;
use crate::output::print;
use crate::yaml::{Malformed, Position};
use problem::{Level, Problem, Problems};

/// Compiles plugin configurations and says what is wrong with them
///
/// FILE is a plugin configuration by itself (JSON), or what contains some: an
/// Envoy bootstrap, listeners, or a dump of /config_dump; an EnvoyFilter,
/// WasmPlugin or TrafficExtension of Istio; an EnvoyExtensionPolicy of Envoy
/// Gateway. YAML or JSON, with any number of documents.
///
/// An error is what the plugin would not follow: an unknown field, a value it
/// cannot read, a metric that does not exist, an expression that Envoy does not
/// compile. A warning is what it follows, but hardly as you want: a proxy that
/// answers 503 should the plugin fail, a label without its line in stats_tags, a
/// setting that costs more than it tells, something that a filter or an access
/// logger cannot do. Of the native module what it does not do is an error, too.
///
/// The exit status is 1 if there are errors, else 0.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files to check; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The plugin that a configuration by itself is for
    #[arg(long, default_value = "istio-stats")]
    plugin: Artefact,
    /// A configuration by itself is for the native module
    #[arg(long)]
    native: bool,
    /// Print one JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut problems = Problems::default();
    let mut checked = Vec::new();
    for path in &args.files {
        match find::read(path, args.plugin) {
            Ok(mut file) => {
                if args.native {
                    file.make_native();
                }
                check(&file, &mut problems);
                checked.push(file);
            }
            Err(error) => problems.push(of_file(&error)),
        }
        problems.settle(&find::name_of(path));
    }
    if args.json {
        print(&format!("{:#}\n", show::json(&checked, &problems)))?;
    } else {
        print(&show::text(&problems))?;
    }
    let sum = show::sum(&problems, &checked);
    ensure!(problems.errors() == 0, "{sum}");
    ensure!(
        checked.iter().any(|file| file.found().next().is_some()),
        "nothing to check: {}",
        nothing(&checked)
    );
    if !args.json {
        print(&format!("{sum}\n"))?;
    }
    Ok(())
}

/// Something that can be said of one configuration of the stats plugin.
#[derive(Debug)]
pub(crate) struct Said {
    /// The plugin follows it all the same.
    pub(crate) is_followed: bool,
    /// JSON path.
    pub(crate) path: String,
    /// With the path, and what to do about it.
    pub(crate) text: String,
}

/// Checks a configuration of the stats plugin by itself.
pub(crate) fn said_of(bytes: Vec<u8>, attachment: Attachment) -> Vec<Said> {
    let mut problems = Problems::default();
    let found = Found::by_itself(Artefact::IstioStats, bytes, Some(Form::filter(attachment)));
    configuration::check(&found, &mut problems);
    // An expression for an older Envoy is as good.
    let is_about_field = |problem: &&Problem| problem.level != Level::Info || !problem.path.contains('[');
    let said = problems.iter().filter(is_about_field).map(|problem| {
        let path = problem.path.clone();
        let suggestion = problem.suggestion.iter().map(|suggestion| format!("; {suggestion}"));
        let text = format!("{path}: {}{}", problem.message, suggestion.collect::<String>());
        Said { is_followed: problem.level == Level::Warning, path, text }
    });
    said.collect()
}

const NOTHING: &str =
    "no configuration of istio_stats or metadata_exchange (they are told apart by the module's \
                       file name or image, else by the plugin's name)";

const ISTIOS: &str =
    "this configures Istio's own metrics: `istio-stats migrate` prints what this plugin takes instead";

fn check(file: &File, problems: &mut Problems) {
    for document in &file.documents {
        for found in &document.found {
            configuration::check(found, problems);
        }
        for other in &document.others {
            let message = "runs another module; not checked".to_owned();
            problems.push(Problem::new(Level::Info, other.position, &other.place, message));
        }
        bootstrap::check(document, &file.name, problems);
    }
    locals::check(file, problems);
    if file.found().next().is_none() {
        let why = nothing(std::slice::from_ref(file)).to_owned();
        problems.push(Problem::new(Level::Info, Position::START, &[], why));
    }
}

/// Why there is nothing in these files.
fn nothing(files: &[File]) -> &'static str {
    let mut roots =
        files.iter().flat_map(|file| &file.documents).filter_map(|document| document.root.as_ref());
    if roots.any(source::is_istios) {
        ISTIOS
    } else {
        NOTHING
    }
}

/// A file that cannot be checked at all.
fn of_file(error: &anyhow::Error) -> Problem {
    match error.downcast_ref::<Malformed>() {
        Some(Malformed { position, why }) => {
            Problem::new(Level::Error, *position, &[], format!("not YAML: {why}"))
        }
        None => Problem::new(Level::Error, Position::START, &[], format!("{error:#}")),
    }
}
