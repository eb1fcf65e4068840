//! The program `client`: one call into the library.

fn main() -> std::process::ExitCode {
    client::cli::main()
}
