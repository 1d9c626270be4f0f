//! Cuts off std's panic hook.
//!
//! The modules install a panic hook of their own before they do anything else.
//! The compiler cannot know that it is never taken away, so std's hook stays in,
//! with all it needs to find out whether a backtrace is wanted and to print one:
//! the environment, the working directory and, for these two, the allocator of
//! libc. That is 11 kB of each module. Whoever got there would be on the way to a
//! trap anyway.

use anyhow::{ensure, Result};
use rustc_demangle::demangle;
use walrus::{Function, FunctionBuilder, FunctionId, FunctionKind, Module};

/// Nothing but std's hook calls these.
const CUT: &[&str] = &[
    "std::panic::get_backtrace_style",
    "std::sys::backtrace::lock",
    "<std::sys::backtrace::BacktraceLock>::print",
    "<<std::sys::backtrace::BacktraceLock>::print::DisplayBacktrace as core::fmt::Display>::fmt",
];

/// Replaces their bodies with a trap.
///
/// # Errors
/// Some are there and others are not.
pub(super) fn cut_off(module: &mut Module) -> Result<()> {
    let functions = || module.funcs.iter_local().map(|(id, _)| module.funcs.get(id));
    let with_id = |name| (name, functions().find(|function| readable(function) == name).map(Function::id));
    let found: Vec<_> = CUT.iter().copied().map(with_id).collect();
    let gone: Vec<_> = found.iter().filter(|(_, id)| id.is_none()).map(|(name, _)| *name).collect();
    ensure!(
        gone.is_empty() || gone.len() == CUT.len(),
        "{} in tools/src/pack/panics.rs: std has no such function any more, or it is inlined; take it out there",
        gone.join(", ")
    );
    for id in found.into_iter().filter_map(|(_, id)| id) {
        trap_instead(module, id);
    }
    Ok(())
}

fn readable(function: &Function) -> String {
    format!("{:#}", demangle(function.name.as_deref().unwrap_or_default()))
}

fn trap_instead(module: &mut Module, function: FunctionId) {
    let ty = module.types.get(module.funcs.get(function).ty());
    let (params, results) = (ty.params().to_vec(), ty.results().to_vec());
    let mut body = FunctionBuilder::new(&mut module.types, &params, &results);
    body.func_body().unreachable();
    let args = params.iter().map(|param| module.locals.add(*param)).collect();
    module.funcs.get_mut(function).kind = FunctionKind::Local(body.local_func(args));
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: &str = "_RNvNtCs1_3std5panic19get_backtrace_style";
    const OTHERS: [&str; 3] = [
        "_RNvNtNtCs1_3std3sys9backtrace4lock",
        "_RNvMNtNtCs1_3std3sys9backtraceNtB2_13BacktraceLock5print",
        "_RNvXNvMNtNtCs1_3std3sys9backtraceNtB5_13BacktraceLock5printNtB2_16DisplayBacktraceNtNtCs2_4core3fmt7Display3fmt",
    ];

    fn module(others: &[&str]) -> Module {
        let others: String =
            others.iter().map(|name| format!("(func ${name} call $getenv drop)\n")).collect();
        let text = format!(
            r#"(module
                (func ${STYLE} (result i32) call $getenv)
                (func $_RNvNtCs1_3std5panic8set_hook (result i32) i32.const 1)
                (func $getenv (result i32) i32.const 2)
                (func (export "proxy_on_tick") (result i32)
                    call ${STYLE}
                    drop
                    call $_RNvNtCs1_3std5panic8set_hook)
                {others})"#
        );
        Module::from_buffer(&wat::parse_str(text).unwrap()).unwrap()
    }

    #[test]
    fn what_only_std_prints_with_goes() {
        let mut module = module(&OTHERS);
        cut_off(&mut module).unwrap();
        walrus::passes::gc::run(&mut module);
        let names: Vec<_> = module.funcs.iter().filter_map(|function| function.name.as_deref()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(!names.contains(&"getenv"), "{names:?}");
        // The result is a valid module still.
        Module::from_buffer(&module.emit_wasm()).unwrap();
    }

    #[test]
    fn what_is_listed_and_gone_is_an_error() {
        let said = cut_off(&mut module(&OTHERS[1..])).unwrap_err().to_string();
        assert!(said.starts_with("std::sys::backtrace::lock in tools/src/pack/panics.rs: "), "{said}");
    }
}
