//! What a call asks for beyond the evaluator: the regular expressions of `matches`. Each is compiled once, so it has to stand in the expression, and is
//! bounded, since compiling takes as long as it is large.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue};
use cel::{Context, ExecutionError};
use regex_lite::{Regex, RegexBuilder};
use std::sync::Arc;

/// How large one may be when it is compiled, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// Takes the patterns out of an expression: each call becomes one of a function of its own.
///
/// # Errors
/// Why one cannot be used.
pub(crate) fn take(tree: &mut IdedExpr, patterns: &mut Vec<Regex>) -> Result<(), String> {
    match &mut tree.expr {
        Expr::Call(call) => {
            let parts = call.target.as_deref_mut().into_iter().chain(&mut call.args);
            parts.into_iter().try_for_each(|part| take(part, patterns))?;
            let name = call.func_name.as_str();
            if matches!(name, "duration" | "timestamp") || name.starts_with("get") {
                return Err("the native form has no durations and times".to_owned());
            }
            if name == "matches" {
                tree.expr = Expr::Call(matching(core::mem::take(call), patterns)?);
            }
            Ok(())
        }
        Expr::Comprehension(of) => {
            let parts =
                [&mut of.iter_range, &mut of.accu_init, &mut of.loop_cond, &mut of.loop_step, &mut of.result];
            parts.into_iter().try_for_each(|part| take(part, patterns))
        }
        Expr::List(list) => list.elements.iter_mut().try_for_each(|element| take(element, patterns)),
        Expr::Map(map) => map.entries.iter_mut().try_for_each(|entry| match &mut entry.expr {
            EntryExpr::StructField(field) => take(&mut field.value, patterns),
            EntryExpr::MapEntry(entry) => {
                take(&mut entry.key, patterns)?;
                take(&mut entry.value, patterns)
            }
        }),
        Expr::Select(select) => take(&mut select.operand, patterns),
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Ok(()),
    }
}

fn matching(call: CallExpr, patterns: &mut Vec<Regex>) -> Result<CallExpr, String> {
    let mut arguments = call.target.map(|target| *target).into_iter().chain(call.args);
    let (Some(text), Some(pattern)) = (arguments.next(), arguments.next()) else {
        return Err("matches takes a text and a pattern".to_owned());
    };
    let Expr::Literal(LiteralValue::String(pattern)) = pattern.expr else {
        return Err("the native form takes a pattern of matches only as it is written, in quotes".to_owned());
    };
    let compiled = RegexBuilder::new(pattern.inner()).size_limit(MAX_BYTES).build();
    let pattern = compiled.map_err(|error| {
        let whole = error.to_string();
        format!("the pattern of matches: {}", whole.lines().last().unwrap_or_default().trim())
    })?;
    let func_name = name_of(patterns.len());
    patterns.push(pattern);
    Ok(CallExpr { func_name, target: None, args: vec![text] })
}

fn name_of(number: usize) -> String {
    format!("@matches{number}")
}

/// Makes them known to evaluations.
pub(crate) fn declare(patterns: Vec<Regex>, context: &mut Context<'_, '_>) {
    for (number, pattern) in patterns.into_iter().enumerate() {
        let function =
            move |text: Arc<String>| -> Result<bool, ExecutionError> { Ok(pattern.is_match(&text)) };
        // None of the standard functions has such a name.
        let _ = context.add_function(&name_of(number), function);
    }
}
