//! The command line of Larder: reads arguments, configuration and signals, calls the library, and speaks to people.

mod app;
mod cli;
mod config;
mod error;
mod exit;
mod host;
mod host_schedule;
mod term;
mod units;
mod view;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    host::secrecy::leave_no_core_dumps();
    host::bounds::set();
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(wrong) => return cli::exit_with(&wrong).into(),
    };
    term::colour::choose(arguments.global.color);
    let output = term::output::Output::new(arguments.global.json);
    if let Err(why) = larder::rooted::check_kernel() {
        term::console::error(&why);
        return exit::Exit::Failed.into();
    }
    match cli::run(&arguments, &output) {
        Ok(exit) => exit.into(),
        Err(error) => cli::report(&error, &output).into(),
    }
}
