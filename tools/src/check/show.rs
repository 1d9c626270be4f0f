//! How `check` prints what it found: one block a problem, as compilers do, or
//! JSON.

use std::fmt::Write as _;

use serde_json::{json, Value};

use super::problem::{Level, Problem, Problems};
use crate::find::found::File;
use crate::output::visible;

/// Every problem.
pub(super) fn text(problems: &Problems) -> String {
    problems.iter().map(block).collect()
}

/// One object: what was checked, and what is wrong.
pub(super) fn json(files: &[File], problems: &Problems) -> Value {
    let checked = files.iter().flat_map(|file| {
        file.found().map(move |found| {
            json!({"file": file.name, "line": found.position.line, "place": found.place, "plugin": found.artefact.to_string()})
        })
    });
    json!({
        "checked": checked.collect::<Vec<_>>(),
        "problems": problems.iter().collect::<Vec<_>>(),
        "errors": problems.errors(),
        "warnings": problems.warnings(),
    })
}

/// `2 errors, 1 warning in 4 plugin configurations`.
pub(super) fn sum(problems: &Problems, files: &[File]) -> String {
    let checked = count(files.iter().flat_map(File::found).count(), "plugin configuration");
    let parts = [(problems.errors(), "error"), (problems.warnings(), "warning")];
    let parts = parts.into_iter().filter(|(number, _)| *number > 0);
    let parts: Vec<_> = parts.map(|(number, thing)| count(number, thing)).collect();
    match parts.as_slice() {
        [] => format!("no problem in {checked}"),
        parts => format!("{} in {checked}", parts.join(", ")),
    }
}

fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn block(problem: &Problem) -> String {
    let Problem { level, file, line, column, place, path, message, suggestion } = problem;
    let level = match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let head = format!("{file}:{line}:{column}: {level}: {path}{message}");
    let mut block = format!("{}\n", visible(&head));
    if let Some(suggestion) = suggestion {
        let _ = writeln!(block, "    {}", visible(suggestion));
    }
    if !place.is_empty() {
        let _ = writeln!(block, "    in {}", visible(&place.join(", ")));
    }
    block
}
