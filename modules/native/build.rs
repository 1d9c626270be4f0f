//! How the module is linked.

fn main() {
    // It has threads of its own and values that belong to threads: it has to stay where it is, also
    // where the proxy's configuration forgets `do_not_close`.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
