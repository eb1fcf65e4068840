//! The program `client`: one call into the library.
//!
//! With glibc, the C runtime makes it, and not Rust's; see the library's `cli::startup`. Other C runtimes do not hand
//! the arguments to Rust's library by themselves.

#![cfg_attr(target_env = "gnu", no_main)]
#![allow(unsafe_code, reason = "the linker finds `main` by its name, which no other function has")]

#[cfg(not(target_env = "gnu"))]
fn main() {
    client::cli::main()
}

#[cfg(target_env = "gnu")]
#[unsafe(no_mangle)]
extern "C" fn main() -> std::ffi::c_int {
    client::cli::main()
}
