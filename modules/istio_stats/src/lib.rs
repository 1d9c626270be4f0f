//! `dist/istio_stats.wasm`: the entry point, and nothing else, so that each module
//! holds only the code of its own plugin.

#![cfg(target_family = "wasm")]
#![expect(missing_docs, reason = "the macro writes the entry point without")]

proxy_wasm::main! {{
    istio_stats::abi::run_stats();
}}
