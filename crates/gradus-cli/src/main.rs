//! The `gradus` command.
//!
//! Owns:    the command line, exit codes, colour, where output goes, Ctrl-C.
//! Never:   reaches into a stage crate; the facade has everything it needs.
//! Reads:   arguments and scripts.
//! Returns: an exit code: 0 done, 1 wrong or failed, 2 usage, 3 a test failed, 130 interrupted.

mod args;
mod bench;
mod check;
mod doc;
mod explain;
mod fmt;
mod laws;
mod machine;
mod output;
mod proof;
mod run;
mod slopes;
mod terminal;
mod test;
mod units;

use args::{Cli, Command};
use clap::Parser;
use std::process::ExitCode;

/// A usage error that the argument parser cannot see.
pub const USAGE: u8 = 2;

/// Graphs and plans are many small pieces that grow and go together; the allocator of the C library gives their pages back to the
/// system and asks for them again all the time, which is a third of a short run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Scripts nest deeply; parsing and evaluation take their stack from here before they grow it.
const STACK: usize = 16 << 20;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { USAGE } else { 0 });
        }
    };
    let work = std::thread::Builder::new().stack_size(STACK).spawn(move || command(cli));
    match work.map(|w| w.join()) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(_)) => {
            eprintln!("gradus: this is a mistake in gradus itself; please report it with the script");
            ExitCode::from(1)
        }
        Err(e) => {
            eprintln!("gradus: no thread could be started: {e}");
            ExitCode::from(1)
        }
    }
}

fn command(cli: Cli) -> u8 {
    let (out, err) = terminal::styles(cli.color);
    match cli.command {
        Command::Run(a) => run::run(a, out, err),
        Command::Check(a) => check::check(a, err),
        Command::CheckGrad(a) => slopes::check(a, out, err),
        Command::Test(a) => test::test(a, out, err),
        Command::Doc(a) => doc::doc(&a),
        Command::Fmt(a) => fmt::fmt(a, err),
        Command::Bench(a) => bench::bench(a, err),
        Command::Calibrate(a) => bench::calibrate(a),
        Command::Explain(a) => explain::explain(a, err),
        Command::CheckProof(a) => proof::check(a, err),
    }
}
