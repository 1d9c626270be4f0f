//! Cuts off the SDK's helper methods.
//!
//! The SDK's traits carry their helpers (`get_http_request_headers`,
//! `dispatch_grpc_call` and a hundred more) as methods next to the callbacks, so
//! every vtable names them all and keeps alive what they reach: 30 kB of 218.
//! The entries of those in `stubs.txt` are pointed at a function that traps; a
//! direct call of a helper would stay intact. What is neither there nor a callback
//! is an error: a trap takes down every stream of the VM, so nothing is stubbed by
//! the looks of its name.

use std::collections::BTreeSet;

use anyhow::{ensure, Result};
use rustc_demangle::demangle;
use walrus::{ElementItems, Function, FunctionBuilder, FunctionId, Module};

/// `Trait::method`, one a line, with why it can never be reached.
const LIST: &str = include_str!("stubs.txt");

/// What the backtrace of a trap shows, should anybody call one after all.
const STUB_NAME: &str = "SDK helper that istio-stats pack cut off";

/// Points every vtable entry of a listed helper at a stub.
///
/// # Errors
/// An entry is neither listed nor a callback, or one that is listed is not there.
pub(super) fn put(module: &mut Module) -> Result<()> {
    check(module)?;
    let segments: Vec<_> = module.elements.iter().map(|segment| segment.id()).collect();
    for segment in segments {
        let ElementItems::Functions(entries) = &module.elements.get(segment).items else {
            continue;
        };
        let mut entries = entries.clone();
        for entry in &mut entries {
            if method_of(module.funcs.get(*entry)).is_some_and(|method| is_listed(&method)) {
                *entry = stub_of(module, *entry);
            }
        }
        module.elements.get_mut(segment).items = ElementItems::Functions(entries);
    }
    Ok(())
}

fn check(module: &Module) -> Result<()> {
    let is_old = |function: &Function| {
        function.name.as_deref().is_some_and(|symbol| symbol.starts_with(OLD_DEFAULT_BODY))
    };
    ensure!(
        !module.funcs.iter().any(is_old),
        "the SDK's functions are mangled in the old way: compile with -Csymbol-mangling-version=v0, as \
         scripts/build-wasm does"
    );
    let functions = module.elements.iter().filter_map(|segment| match &segment.items {
        ElementItems::Functions(functions) => Some(functions),
        ElementItems::Expressions(..) => None,
    });
    let entries = functions.flatten().map(|function| module.funcs.get(*function));
    let there: BTreeSet<_> = entries.filter_map(method_of).collect();

    let unknown = there.iter().filter(|method| !is_callback(method) && !is_listed(method));
    let unknown: Vec<_> = unknown.map(String::as_str).collect();
    ensure!(
        unknown.is_empty(),
        "the SDK's {} is neither a callback nor in tools/src/pack/stubs.txt: list it there if nothing calls it \
         through a vtable; if the SDK's dispatcher does, it is a callback (is_callback in stubs.rs)",
        unknown.join(", ")
    );
    let has_trait = |method: &str| there.iter().any(|other| trait_of(other) == trait_of(method));
    let gone: Vec<_> = listed().filter(|method| has_trait(method) && !there.contains(*method)).collect();
    ensure!(
        gone.is_empty(),
        "{} in tools/src/pack/stubs.txt: the SDK has no such method any more, take it out there",
        gone.join(", ")
    );
    Ok(())
}

fn listed() -> impl Iterator<Item = &'static str> {
    LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn is_listed(method: &str) -> bool {
    listed().any(|known| known == method)
}

/// What the SDK's dispatcher calls: `on_log`, `create_http_context`, `get_type`, …
fn is_callback(method: &str) -> bool {
    let name = method.rsplit("::").next().unwrap_or_default();
    name.starts_with("on_") || name.starts_with("create_") || name == "get_type"
}

fn trait_of(method: &str) -> &str {
    method.split("::").next().unwrap_or_default()
}

/// How Rust's v0 mangling begins the symbol of a trait's own body of a method; an
/// implementation's begins with `_RNvX`.
const DEFAULT_BODY: &str = "_RNvY";
/// Such a symbol's beginning in the old mangling.
const OLD_DEFAULT_BODY: &str = "_ZN10proxy_wasm6traits";

/// `Context::done`, if this is the SDK's own body of a trait's method.
fn method_of(function: &Function) -> Option<String> {
    let symbol = function.name.as_deref().filter(|symbol| symbol.starts_with(DEFAULT_BODY))?;
    // `<Type as proxy_wasm::traits::Context>::done`
    let name = format!("{:#}", demangle(symbol));
    let (_, method) = name.split_once(" as proxy_wasm::traits::")?;
    Some(method.replacen(">::", "::", 1))
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
mod tests;
