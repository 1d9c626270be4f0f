//! Cuts off the SDK's helper methods.
//!
//! The SDK's traits carry their helpers (`get_http_request_headers`,
//! `dispatch_grpc_call` and a hundred more) as methods next to the callbacks, so
//! every vtable names them all and keeps alive what they reach: 30 kB of 218.
//! Nobody calls them through a vtable. The dispatcher there calls callbacks
//! only, and this project makes its hostcalls itself. So the entries are pointed
//! at a function that traps; a direct call of a helper would stay intact.

use rustc_demangle::demangle;
use walrus::{ElementItems, FunctionBuilder, FunctionId, Module};

/// What the backtrace of a trap shows, should anybody call one after all.
const STUB_NAME: &str = "SDK helper that istio-stats pack cut off";

/// Points every vtable entry of a helper at a stub.
pub(crate) fn cut_off(module: &mut Module) {
    let segments: Vec<_> = module.elements.iter().map(|segment| segment.id()).collect();
    for segment in segments {
        let ElementItems::Functions(entries) = &module.elements.get(segment).items else {
            continue;
        };
        let mut entries = entries.clone();
        for entry in &mut entries {
            let name = module.funcs.get(*entry).name.as_deref();
            if name.is_some_and(is_helper) {
                *entry = stub_of(module, *entry);
            }
        }
        module.elements.get_mut(segment).items = ElementItems::Functions(entries);
    }
}

/// How Rust's v0 mangling, which the Makefile asks for, begins the symbol of a
/// trait's own body of a method; an implementation's begins with `_RNvX`.
const DEFAULT_BODY: &str = "_RNvY";

/// Whether this is the SDK's own body of a trait method that is no callback.
fn is_helper(symbol: &str) -> bool {
    if !symbol.starts_with(DEFAULT_BODY) {
        return false;
    }
    // `<Type as proxy_wasm::traits::Trait>::method`
    let name = format!("{:#}", demangle(symbol));
    let Some((_, method)) =
        name.split_once(" as proxy_wasm::traits::").and_then(|(_, rest)| rest.split_once(">::"))
    else {
        return false;
    };
    // What the dispatcher calls: `on_log`, `create_http_context`, `get_type`, …
    let is_callback = method.starts_with("on_") || method.starts_with("create_") || method == "get_type";
    !is_callback && !method.contains("::")
}

/// A function of the same type, which a call through a table checks.
fn stub_of(module: &mut Module, function: FunctionId) -> FunctionId {
    let ty = module.types.get(module.funcs.get(function).ty());
    let (params, results) = (ty.params().to_vec(), ty.results().to_vec());
    let mut stub = FunctionBuilder::new(&mut module.types, &params, &results);
    stub.name(STUB_NAME.to_owned()).func_body().unreachable();
    let args = params.iter().map(|param| module.locals.add(*param)).collect();
    stub.finish(args, &mut module.funcs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wasm: &str) -> Vec<String> {
        let mut module = Module::from_buffer(&wat::parse_str(wasm).unwrap()).unwrap();
        cut_off(&mut module);
        walrus::passes::gc::run(&mut module);
        let name = |function: &walrus::Function| {
            format!("{:#}", demangle(function.name.as_deref().unwrap_or_default()))
        };
        let mut names: Vec<_> = module.funcs.iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn helpers_in_a_vtable_go_with_all_they_reach() {
        let names = names(
            r#"(module
                (table (export "table") 2 funcref)
                (elem (i32.const 0) $_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits7Context4done
                                    $_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits7Context7on_done)
                (func $_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits7Context4done (param i32) call $hostcall)
                (func $_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits7Context7on_done (param i32) (result i32) i32.const 1)
                (func $hostcall))"#,
        );
        let on_done = "<istio_stats::StatsRoot as proxy_wasm::traits::Context>::on_done";
        assert_eq!(names, [on_done, STUB_NAME]);
    }

    #[test]
    fn a_direct_call_still_reaches_a_helper() {
        let names = names(
            r#"(module
                (table (export "table") 1 funcref)
                (elem (i32.const 0) $_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits7Context4done)
                (func $_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits7Context4done)
                (func (export "proxy_on_tick") call $_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits7Context4done))"#,
        );
        let done = "<istio_stats::StatsRoot as proxy_wasm::traits::Context>::done";
        assert!(names.contains(&done.to_owned()), "{names:?}");
    }

    #[test]
    fn callbacks_and_other_code_are_no_helpers() {
        for symbol in [
            "_RNvYNtCs1_11istio_stats5StatsNtNtCs2_10proxy_wasm6traits11HttpContext6on_log",
            "_RNvYNtCs1_11istio_stats5StatsNtNtCs2_10proxy_wasm6traits11RootContext19create_http_context",
            "_RNvYNtCs1_11istio_stats5StatsNtNtCs2_10proxy_wasm6traits11RootContext8get_type",
            // An implementation of its own, of this and of another trait.
            "_RNvXCs1_11istio_statsNtB2_5StatsNtNtCs2_10proxy_wasm6traits7Context4done",
            "_RNvYNtCs1_11istio_stats5StatsNtNtCs2_11istio_stats4host4Host4done",
            "_RNvNtCs2_10proxy_wasm9hostcalls4done",
            "",
        ] {
            assert!(!is_helper(symbol), "{symbol}");
        }
        assert!(is_helper("_RNvYNtCs1_11istio_stats5StatsNtNtCs2_10proxy_wasm6traits7Context4done"));
    }
}
