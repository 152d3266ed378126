//! `thalweg completions SHELL`: the completion script of a shell.

use std::io::Write;

use clap::Args;
use clap_complete::Shell;

use super::Failure;

#[derive(Args)]
pub(crate) struct Options {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(options: &Options, command: &mut clap::Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, command, "thalweg", &mut script);
    Ok(std::io::stdout().write_all(&script)?)
}
