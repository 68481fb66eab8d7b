//! The command line of Larder: reads arguments, configuration and signals, calls the library, and speaks to people.

mod bounds;
mod chart;
mod cli;
mod config;
mod console;
mod failure;
mod heads;
mod identity;
mod new_file;
mod output;
mod places;
mod real_path;
mod remembered;
mod restoring;
mod schedule;
mod secrecy;
mod shell;
mod simulation;
mod state;
mod system;
mod table;
mod units;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    secrecy::leave_no_core_dumps();
    bounds::set();
    let arguments = cli::Arguments::parse();
    let output = output::Output::new(arguments.global.json);
    if let Err(why) = larder::rooted::check_kernel() {
        console::error(&why);
        return failure::Exit::Failed.into();
    }
    match cli::run(&arguments, &output) {
        Ok(exit) => exit.into(),
        Err(error) => failure::report(&error).into(),
    }
}
