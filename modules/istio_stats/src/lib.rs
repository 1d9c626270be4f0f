//! `dist/istio_stats.wasm`: the entry points, and nothing else, so that each module
//! holds only the code of its own plugin.

#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro writes the entry point without")]

mod abi;

proxy_wasm::main! {{
    abi::run();
}}
