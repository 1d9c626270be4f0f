use super::*;

/// A module with what `text` says and every other export the artefact needs.
fn module(artefact: Artefact, text: &str) -> Vec<u8> {
    let missing =
        exports::required(artefact).filter(|name| *name != "memory" && !text.contains(&format!("{name:?}")));
    let callbacks: String = missing.map(|name| format!("(func (export {name:?}))\n")).collect();
    wat::parse_str(format!("(module (memory (export \"memory\") 1)\n{text}\n{callbacks})")).unwrap()
}

fn parse(wasm: &[u8]) -> Module {
    Module::from_buffer(wasm).unwrap()
}

fn function_names(wasm: &[u8]) -> Vec<String> {
    let mut names: Vec<_> = parse(wasm).funcs.iter().filter_map(|function| function.name.clone()).collect();
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
    let mut required: Vec<_> = exports::required(Artefact::IstioStats).collect();
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
    let packed = pack(&module(Artefact::MetadataExchange, text), Artefact::MetadataExchange, true).unwrap();
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
    assert_eq!(pack(b"PK", Artefact::IstioStats, false).unwrap_err().to_string(), "not a valid Wasm module");
}

#[test]
fn the_limit_is_a_number_of_thousand_bytes() {
    assert!(ensure_size(200_000, Some(200)).is_ok());
    assert!(ensure_size(usize::MAX, None).is_ok());
    let error = ensure_size(200_001, Some(200)).unwrap_err().to_string();
    assert_eq!(error, "200.0 kB (200001 bytes) is over the limit of 200.0 kB (200000 bytes)");
}
