//! The program `server`: one call into the library.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
