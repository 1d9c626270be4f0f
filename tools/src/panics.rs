//! Cuts off what a module could print, but never gets to.
//!
//! The modules install a panic hook of their own before they do anything else.
//! The compiler cannot know that it is never taken away, so std's hook stays in,
//! with all it needs to find out whether a backtrace is wanted and to print one:
//! the environment, the working directory and, for these two, the allocator of
//! libc. The same goes for a few messages of libraries.

use rustc_demangle::demangle;
use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module};

/// What prints these ends in a trap anyway, or is never reached.
const CUT: &[&str] = &[
    "std::panicking::default_hook",
    "std::panic::get_backtrace_style",
    "std::sys::backtrace::lock",
    "<std::sys::backtrace::BacktraceLock>::print",
    "<<std::sys::backtrace::BacktraceLock>::print::DisplayBacktrace as core::fmt::Display>::fmt",
    // Memory that has run out: what would be printed ends in a trap, too.
    "std::alloc::default_alloc_error_hook",
    // Where a text was cut amid a character: nothing here cuts without looking.
    "core::str::slice_error_fail",
    "<core::ops::range::Range<usize> as core::fmt::Debug>::fmt",
    // Bytes that are no text, where a library counted on text.
    "<alloc::vec::Vec<u8> as core::fmt::Debug>::fmt",
    // Debug output over several lines, which nobody asks for.
    "<core::fmt::builders::PadAdapter as core::fmt::Write>::write_str",
    "<core::fmt::builders::PadAdapter as core::fmt::Write>::write_char",
    // Why standard error could not be written.
    "<std::io::error::Error as core::fmt::Debug>::fmt",
    "<std::io::error::Error as core::fmt::Display>::fmt",
    "<i32 as core::fmt::Debug>::fmt",
    // What std's hook writes to.
    "<std::io::default_write_fmt::Adapter<std::io::cursor::Cursor<&mut [u8]>> as core::fmt::Write>::write_str",
    "<std::io::default_write_fmt::Adapter<std::io::cursor::Cursor<&mut [u8]>> as core::fmt::Write>::write_char",
    "<std::io::default_write_fmt::Adapter<std::sys::stdio::unix::Stderr> as core::fmt::Write>::write_str",
    "<std::io::default_write_fmt::Adapter<std::sys::stdio::unix::Stderr> as core::fmt::Write>::write_char",
];

/// Replaces the bodies with a trap. Which ones are there is up to the compiler,
/// which may have put some of them into their callers.
pub(crate) fn cut_off(module: &mut Module) {
    let unused = |function: &walrus::Function| {
        let symbol = function.name.as_deref().unwrap_or_default();
        CUT.contains(&format!("{:#}", demangle(symbol)).as_str())
    };
    let functions: Vec<_> = module.funcs.iter_local().map(|(id, _)| id).collect();
    for function in functions {
        if unused(module.funcs.get(function)) {
            trap_instead(module, function);
        }
    }
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

    #[test]
    fn what_only_std_prints_with_goes() {
        let wasm = wat::parse_str(
            r#"(module
                (func $_RNvNtCs1_3std5panic19get_backtrace_style (result i32) call $getenv)
                (func $_RNvNtCs1_3std5panic8set_hook (result i32) i32.const 1)
                (func $getenv (result i32) i32.const 2)
                (func (export "proxy_on_tick") (result i32)
                    call $_RNvNtCs1_3std5panic19get_backtrace_style
                    drop
                    call $_RNvNtCs1_3std5panic8set_hook))"#,
        );
        let mut module = Module::from_buffer(&wasm.unwrap()).unwrap();
        cut_off(&mut module);
        walrus::passes::gc::run(&mut module);
        let names: Vec<_> = module.funcs.iter().filter_map(|function| function.name.as_deref()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(!names.contains(&"getenv"), "{names:?}");
        // The result is a valid module still.
        Module::from_buffer(&module.emit_wasm()).unwrap();
    }
}
