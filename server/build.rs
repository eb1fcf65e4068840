//! Tells the linker to put the unwinder of panics into every program with this library, as the client's does: a server starts this
//! program once more for every job that outlasts it, as the job's supervisor.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_glibc = std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "gnu");
    if is_glibc {
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}
