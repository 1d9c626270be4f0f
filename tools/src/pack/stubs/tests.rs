use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// The symbol of a trait's own body of a method.
fn symbol(method: &str) -> String {
    let (name, method) = method.split_once("::").unwrap();
    format!(
        "_RNvYNtCs1_11istio_stats9StatsRootNtNtCs2_10proxy_wasm6traits{}{name}{}{method}",
        name.len(),
        method.len()
    )
}

/// A module whose vtable has these methods, each of which makes a hostcall, and what
/// `more` says.
fn module<'a>(methods: impl IntoIterator<Item = &'a str>, more: &str) -> Module {
    let symbols: Vec<_> = methods.into_iter().map(symbol).collect();
    let functions: String = symbols.iter().map(|name| format!("(func ${name} call $hostcall)\n")).collect();
    let entries: String = symbols.iter().map(|name| format!(" ${name}")).collect();
    let count = symbols.len();
    let text = format!(
        "(module (table (export \"table\") {count} funcref) (elem (i32.const 0){entries})\n{functions}\n\
         (func $hostcall)\n{more})"
    );
    Module::from_buffer(&wat::parse_str(text).unwrap()).unwrap()
}

fn helpers_of(name: &str) -> impl Iterator<Item = &'static str> + '_ {
    listed().filter(move |method| trait_of(method) == name)
}

/// What is left of the module, by readable names.
fn stubbed(mut module: Module) -> Result<BTreeSet<String>> {
    put(&mut module)?;
    walrus::passes::gc::run(&mut module);
    // The result is a valid module still.
    let module = Module::from_buffer(&module.emit_wasm()).unwrap();
    let name = |function: &Function| format!("{:#}", demangle(function.name.as_deref().unwrap_or_default()));
    Ok(module.funcs.iter().map(name).collect())
}

fn refused(module: Module) -> String {
    stubbed(module).unwrap_err().to_string()
}

#[test]
fn helpers_in_a_vtable_go_with_all_they_reach() {
    let left = stubbed(module(helpers_of("Context"), "")).unwrap();
    assert_eq!(left, BTreeSet::from([STUB_NAME.to_owned()]));
}

#[test]
fn callbacks_stay() {
    let callbacks = ["Context::on_done", "Context::get_type", "Context::create_http_context"];
    let left = stubbed(module(helpers_of("Context").chain(callbacks), "")).unwrap();
    for callback in callbacks {
        let name = callback.replace("Context", "<istio_stats::StatsRoot as proxy_wasm::traits::Context>");
        assert!(left.contains(&name), "{name} in {left:?}");
    }
    assert!(left.contains("hostcall"));
}

#[test]
fn a_direct_call_still_reaches_a_helper() {
    let done = symbol("Context::done");
    let call = format!("(func (export \"proxy_on_tick\") call ${done})");
    let left = stubbed(module(helpers_of("Context"), &call)).unwrap();
    assert!(left.contains("<istio_stats::StatsRoot as proxy_wasm::traits::Context>::done"), "{left:?}");
}

#[test]
fn what_is_neither_listed_nor_a_callback_is_an_error() {
    let novelties = ["Context::handle_novelty", "Context::take_novelty"];
    let said = refused(module(helpers_of("Context").chain(novelties), ""));
    assert!(
        said.starts_with("the SDK's Context::handle_novelty, Context::take_novelty is neither"),
        "{said}"
    );
    assert!(said.contains("tools/src/pack/stubs.txt"), "{said}");
    // Of a trait of which nothing is listed, too.
    let said = refused(module(["QueueContext::take"], ""));
    assert!(said.starts_with("the SDK's QueueContext::take is neither"), "{said}");
}

#[test]
fn what_is_listed_and_gone_is_an_error() {
    let said = refused(module(helpers_of("Context").filter(|method| *method != "Context::done"), ""));
    assert!(said.starts_with("Context::done in tools/src/pack/stubs.txt: "), "{said}");
    // A module need not have every trait.
    assert!(stubbed(module(helpers_of("StreamContext"), "")).is_ok());
}

#[test]
fn what_cannot_be_told_apart_is_an_error() {
    let old = "(func $_ZN10proxy_wasm6traits7Context4done17h0123456789abcdefE)";
    assert!(refused(module([], old)).contains("-Csymbol-mangling-version=v0"));
}

#[test]
fn other_code_is_none_of_the_sdks() {
    for symbol in [
        // An implementation of its own, of this and of another trait.
        "_RNvXCs1_11istio_statsNtB2_5StatsNtNtCs2_10proxy_wasm6traits7Context4done",
        "_RNvYNtCs1_11istio_stats5StatsNtNtCs2_11istio_stats4host4Host4done",
        "_RNvNtCs2_10proxy_wasm9hostcalls4done",
        "",
    ] {
        let text = format!("(module (table 1 funcref) (elem (i32.const 0) $f) (func $f (@name {symbol:?})))");
        let module = Module::from_buffer(&wat::parse_str(text).unwrap()).unwrap();
        assert_eq!(module.funcs.iter().find_map(method_of), None, "{symbol}");
    }
}

#[test]
fn the_list_is_in_order() {
    let list: Vec<_> = listed().collect();
    assert!(list.iter().all(|method| !is_callback(method)));
    for name in ["Context", "RootContext", "HttpContext", "StreamContext"] {
        assert!(helpers_of(name).is_sorted() && helpers_of(name).next().is_some(), "{name}");
    }
    assert_eq!(BTreeSet::from_iter(&list).len(), list.len());
}

/// Where cargo keeps the SDK's sources.
fn sdk() -> PathBuf {
    let cargo = Command::new(env!("CARGO"))
        // Not offline: what only other platforms need may not have been fetched.
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let sdk = packages.iter().find(|package| package["name"] == "proxy-wasm").unwrap();
    Path::new(sdk["manifest_path"].as_str().unwrap()).with_file_name("src")
}

#[test]
fn the_dispatcher_calls_no_helper() {
    let dispatcher = fs::read_to_string(sdk().join("dispatcher.rs")).unwrap();
    assert!(dispatcher.contains(".on_log("));
    for method in listed() {
        let (_, name) = method.split_once("::").unwrap();
        assert!(!dispatcher.contains(&format!(".{name}(")), "{method} is called");
    }
}
