//! Chores of the workspace, as `cargo run -p xtask -- <chore>`.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a tool of the developers': it talks to the terminal and the system itself"
)]

mod clients;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo run -p xtask -- tidy
       cargo run -p xtask -- clients [--name NAME] [--binary PATH]

tidy     checks what a compiler does not: crate edges, versions, headers, links...
clients  runs tests/clients/run.py with each set of stock clients, in virtual
         environments of their own under the target directory";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["tidy"] => tidy::run(&root()),
        ["clients", rest @ ..] => clients::run(&root(), rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder: the parent of this crate's.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
