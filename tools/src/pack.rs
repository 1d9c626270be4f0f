//! `istio-stats pack`: turns what cargo links into what is shipped.

mod exports;
mod panics;
mod stubs;

use std::fs;
use std::path::PathBuf;

use anyhow::{bail, ensure, Context as _, Result};
use rustc_demangle::demangle;
use walrus::{Module, ModuleConfig};

use crate::artefact::Artefact;
use crate::output::print;
use exports::Fate;

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
    print(&format!("{}: {}{limit}\n", args.output.display(), in_kb(packed.len())))?;
    Ok(())
}

/// Packs a module for an artefact.
fn pack(wasm: &[u8], artefact: Artefact, names: bool) -> Result<Vec<u8>> {
    let mut module = ModuleConfig::new()
        .generate_producers_section(false)
        .parse(wasm)
        .context("not a valid Wasm module")?;
    keep_exports(&mut module, artefact)?;
    stubs::put(&mut module)?;
    panics::cut_off(&mut module)?;
    drop_custom_sections(&mut module);
    rename_functions(&mut module, names);
    walrus::passes::gc::run(&mut module);
    Ok(module.emit_wasm())
}

fn keep_exports(module: &mut Module, artefact: Artefact) -> Result<()> {
    let mut unwanted = Vec::new();
    for export in module.exports.iter() {
        match exports::fate_of(artefact, &export.name) {
            Fate::Keep => {}
            Fate::Drop => unwanted.push(export.id()),
            Fate::Unknown => {
                bail!("export {:?} is unknown: say in tools/src/pack/exports.rs who keeps it", export.name)
            }
        }
    }
    for name in exports::required(artefact) {
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
mod tests;
