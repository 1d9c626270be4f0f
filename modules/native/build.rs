//! How the module is linked.

fn main() {
    // It has threads of its own and values that belong to threads: it has to stay where it is, also
    // where the proxy's configuration forgets `do_not_close`.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    // The fake Envoy of the tests has its callbacks found as Envoy has: they are exported by the program.
    println!("cargo:rustc-link-arg-tests=-rdynamic");
}
