//! The program `server`, for the tests of this package.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
