//! The program `compare`: one call into the library.

fn main() -> std::process::ExitCode {
    benches::main()
}
