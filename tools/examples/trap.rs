//! Makes a Wasm module that traps in one of its callbacks, to try what a dead
//! VM looks like from outside; in each VM after so many calls that went well:
//!
//! ```sh
//! cargo run --package istio-stats-tools --example trap -- dist/istio_stats.wasm proxy_on_log 100 trapping.wasm
//! ```

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{bail, Context as _, Result};
use walrus::ir::{BinaryOp, Value};
use walrus::{ConstExpr, ExportItem, FunctionBuilder, Module, ValType};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    let [input, callback, calls, output] = arguments.as_slice() else {
        bail!("usage: trap INPUT.wasm CALLBACK CALLS OUTPUT.wasm");
    };
    let module = fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let calls = calls.to_string_lossy().parse().context("CALLS is no number")?;
    let trapping = trap_in(&module, &callback.to_string_lossy(), calls)?;
    fs::write(output, trapping).with_context(|| format!("cannot write {}", output.display()))
}

/// The module with `unreachable` as the body of this export, once it was called
/// so many times.
fn trap_in(wasm: &[u8], callback: &str, calls: i32) -> Result<Vec<u8>> {
    let mut module = Module::from_buffer(wasm).context("not a valid Wasm module")?;
    let body = module.exports.get_func(callback)?;
    let ty = module.types.get(module.funcs.get(body).ty());
    let (params, results) = (ty.params().to_vec(), ty.results().to_vec());
    let args: Vec<_> = params.iter().map(|param| module.locals.add(*param)).collect();
    let left = module.globals.add_local(ValType::I32, true, false, ConstExpr::Value(Value::I32(calls)));
    let mut trap = FunctionBuilder::new(&mut module.types, &params, &results);
    let mut code = trap.func_body();
    code.global_get(left).if_else(
        None,
        |then| {
            then.global_get(left).i32_const(1).binop(BinaryOp::I32Sub).global_set(left);
        },
        |dead| {
            dead.unreachable();
        },
    );
    for arg in &args {
        code.local_get(*arg);
    }
    code.call(body);
    let trap = trap.finish(args, &mut module.funcs);
    for export in module.exports.iter_mut().filter(|export| export.name == callback) {
        export.item = ExportItem::Function(trap);
    }
    Ok(module.emit_wasm())
}
