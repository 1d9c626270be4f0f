//! `istio-stats pack`: turns what cargo links into what is shipped.

use std::fs;
use std::path::PathBuf;

use anyhow::{bail, ensure, Context as _, Result};
use rustc_demangle::demangle;
use walrus::{Module, ModuleConfig};

use crate::artefact::{Artefact, Fate};
use crate::{helpers, panics};

/// Keeps the exports an artefact needs and drops all code only the others reach.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which module to make
    #[arg(long)]
    artefact: Artefact,
    /// Fail if the result is larger, in kB of 1000 bytes
    #[arg(long, value_name = "KB")]
    max_kb: Option<usize>,
    /// Keep the functions' names (some 25 kB), to read the backtrace of a trap
    #[arg(long)]
    names: bool,
    /// Module as cargo built it
    input: PathBuf,
    /// Module to write
    output: PathBuf,
}

const BYTES_PER_KB: usize = 1000;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<()> {
    let input = fs::read(&args.input).with_context(|| format!("cannot read {}", args.input.display()))?;
    let packed = pack(&input, args.artefact, args.names)
        .with_context(|| format!("cannot pack {}", args.input.display()))?;
    ensure_size(packed.len(), args.max_kb)
        .with_context(|| format!("{} not written", args.output.display()))?;
    if let Some(parent) = args.output.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    }
    fs::write(&args.output, &packed).with_context(|| format!("cannot write {}", args.output.display()))?;
    let limit = args.max_kb.map(|kb| format!(", limit {kb} kB")).unwrap_or_default();
    println!("{}: {}{limit}", args.output.display(), in_kb(packed.len()));
    Ok(())
}

/// Packs a module for an artefact.
fn pack(wasm: &[u8], artefact: Artefact, names: bool) -> Result<Vec<u8>> {
    let mut module = ModuleConfig::new()
        .generate_producers_section(false)
        .parse(wasm)
        .context("not a valid Wasm module")?;
    keep_exports(&mut module, artefact)?;
    helpers::cut_off(&mut module);
    panics::cut_off(&mut module);
    drop_custom_sections(&mut module);
    rename_functions(&mut module, names);
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

fn keep_exports(module: &mut Module, artefact: Artefact) -> Result<()> {
    let mut unwanted = Vec::new();
    for export in module.exports.iter() {
        match artefact.fate_of(&export.name) {
            Fate::Keep => {}
            Fate::Drop => unwanted.push(export.id()),
            Fate::Unknown => {
                bail!("export {:?} is unknown: say in tools/src/artefact.rs who keeps it", export.name)
            }
        }
    }
    for name in artefact.required() {
        let found = module.exports.iter().any(|export| export.name == name);
        ensure!(found, "export {name:?} is missing, {artefact} needs it");
    }
    for id in unwanted {
        module.exports.delete(id);
    }
    Ok(())
}

/// The compiler's notes on itself and on the target; no host reads them. The
/// function names are not among them, walrus keeps those with the functions.
fn drop_custom_sections(module: &mut Module) {
    let sections: Vec<_> = module.customs.iter().map(|(id, _)| id).collect();
    for id in sections {
        module.customs.delete(id);
    }
}

/// Without names the backtrace that Envoy logs after a trap is a row of numbers;
/// demangled they are readable there. A shipped module does not carry them.
fn rename_functions(module: &mut Module, keep: bool) {
    for function in module.funcs.iter_mut() {
        let name = function.name.take().filter(|_| keep);
        function.name = name.map(|name| format!("{:#}", demangle(&name)));
    }
}

fn ensure_size(size: usize, max_kb: Option<usize>) -> Result<()> {
    if let Some(max_kb) = max_kb {
        let max = max_kb.saturating_mul(BYTES_PER_KB);
        ensure!(size <= max, "{} is over the limit of {}", in_kb(size), in_kb(max));
    }
    Ok(())
}

fn in_kb(size: usize) -> String {
    format!("{:.1} kB ({size} bytes)", size as f64 / BYTES_PER_KB as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A module with what `text` says and every other export the artefact needs.
    fn module(artefact: Artefact, text: &str) -> Vec<u8> {
        let missing =
            artefact.required().filter(|name| *name != "memory" && !text.contains(&format!("{name:?}")));
        let callbacks: String = missing.map(|name| format!("(func (export {name:?}))\n")).collect();
        wat::parse_str(format!("(module (memory (export \"memory\") 1)\n{text}\n{callbacks})")).unwrap()
    }

    fn parse(wasm: &[u8]) -> Module {
        Module::from_buffer(wasm).unwrap()
    }

    fn function_names(wasm: &[u8]) -> Vec<String> {
        let mut names: Vec<_> =
            parse(wasm).funcs.iter().filter_map(|function| function.name.clone()).collect();
        names.sort();
        names
    }

    #[test]
    fn exports_of_other_artefacts_and_of_the_linker_go() {
        let more = r#"
            (func (export "proxy_on_request_body"))
            (func (export "proxy_on_request_headers"))
            (global (export "__heap_base") i32 (i32.const 0))"#;
        let packed = pack(&module(Artefact::IstioStats, more), Artefact::IstioStats, false).unwrap();
        let mut left: Vec<_> = parse(&packed).exports.iter().map(|export| export.name.clone()).collect();
        let mut required: Vec<_> = Artefact::IstioStats.required().collect();
        left.sort();
        required.sort();
        assert_eq!(left, required);
    }

    #[test]
    fn code_that_only_dropped_exports_reach_goes() {
        let text = r#"
            (func $_ZN11istio_stats6shared17h0123456789abcdefE)
            (func $_ZN11istio_stats4dead17h0123456789abcdefE)
            (func (export "proxy_on_request_body")
                call $_ZN11istio_stats4dead17h0123456789abcdefE
                call $_ZN11istio_stats6shared17h0123456789abcdefE)
            (func (export "proxy_on_response_headers") call $_ZN11istio_stats6shared17h0123456789abcdefE)"#;
        let packed =
            pack(&module(Artefact::MetadataExchange, text), Artefact::MetadataExchange, true).unwrap();
        assert_eq!(function_names(&packed), ["istio_stats::shared"]);
    }

    #[test]
    fn names_go_or_become_readable() {
        let text = r#"
            (func $_ZN11istio_stats4http6report17h0123456789abcdefE call $_ZN4core3fmt5write17h0123456789abcdefE)
            (func $_ZN4core3fmt5write17h0123456789abcdefE)
            (func (export "proxy_on_log") call $_ZN11istio_stats4http6report17h0123456789abcdefE)"#;
        let packed = pack(&module(Artefact::IstioStats, text), Artefact::IstioStats, true).unwrap();
        assert_eq!(function_names(&packed), ["core::fmt::write", "istio_stats::http::report"]);
        let packed = pack(&module(Artefact::IstioStats, text), Artefact::IstioStats, false).unwrap();
        assert_eq!(function_names(&packed), [""; 0]);
    }

    #[test]
    fn custom_sections_go() {
        let text = r#"(@custom "producers" "x") (@custom "target_features" "y")"#;
        let input = module(Artefact::IstioStats, text);
        let has = |wasm: &[u8], name: &str| wasm.windows(name.len()).any(|bytes| bytes == name.as_bytes());
        let packed = pack(&input, Artefact::IstioStats, false).unwrap();
        for name in ["producers", "target_features"] {
            assert!(has(&input, name) && !has(&packed, name), "{name}");
        }
    }

    #[test]
    fn a_missing_export_is_named() {
        let input = wat::parse_str(r#"(module (memory (export "memory") 1))"#).unwrap();
        let error = pack(&input, Artefact::IstioStats, false).unwrap_err().to_string();
        assert_eq!(error, "export \"_initialize\" is missing, istio-stats needs it");
    }

    #[test]
    fn a_new_callback_is_an_error() {
        let input = module(Artefact::IstioStats, r#"(func (export "proxy_on_novelty"))"#);
        let error = pack(&input, Artefact::IstioStats, false).unwrap_err().to_string();
        assert!(error.starts_with("export \"proxy_on_novelty\" is unknown"), "{error}");
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(
            pack(b"PK", Artefact::IstioStats, false).unwrap_err().to_string(),
            "not a valid Wasm module"
        );
    }

    #[test]
    fn the_limit_is_a_number_of_thousand_bytes() {
        assert!(ensure_size(200_000, Some(200)).is_ok());
        assert!(ensure_size(usize::MAX, None).is_ok());
        let error = ensure_size(200_001, Some(200)).unwrap_err().to_string();
        assert_eq!(error, "200.0 kB (200001 bytes) is over the limit of 200.0 kB (200000 bytes)");
    }
}
