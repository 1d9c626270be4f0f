//! How the targets are linked.

fn main() {
    // The fake Envoy around the native module has its callbacks found as Envoy has: the program exports them.
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
