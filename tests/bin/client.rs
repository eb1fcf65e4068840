//! The program `client`, for the tests of this package.

fn main() -> std::process::ExitCode {
    client::cli::main()
}
