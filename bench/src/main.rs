//! One command that measures ringgate beside its peers: the same work, the same cores, in interleaved rounds.
//!
//! It starts and stops every server itself, on loopback, one at a time, for a bounded number of seconds. Ratios inside one run are the result;
//! absolute figures belong to the machine.

mod canned;
mod cases;
mod cold;
mod crowd;
mod ideal;
mod idle;
mod load;
mod losses;
mod machine;
mod memory;
mod openloop;
mod probe;
mod process;
mod report;
mod soak;
mod stacks;
mod tree;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::path::PathBuf;
use std::process::ExitCode;

fn command() -> Command {
    Command::new("ringgate-bench")
        .about("Measures ringgate, nginx, the Python servers and a raw ring in interleaved rounds")
        .after_help(
            "Examples:\n  ringgate-bench                          every case, one core\n  ringgate-bench --cases static-100,wsgi-hello --rounds 3\n  ringgate-bench --cores 2 --cases wsgi-hello\n\n\
             A server that is not installed is left out and named at the end. scripts/bench installs them.",
        )
        .arg(Arg::new("cases").long("cases").value_name("NAME,...").value_delimiter(',').help("Which cases to run (default: all; `--list` names them)"))
        .arg(Arg::new("servers").long("servers").value_name("NAME,...").value_delimiter(',').help("Only these servers (ringgate, nginx, granian, ...)"))
        .arg(Arg::new("rounds").long("rounds").default_value("3").value_parser(clap::value_parser!(usize)).help("Interleaved rounds; the median of each figure is reported"))
        .arg(Arg::new("seconds").long("seconds").default_value("4").value_parser(clap::value_parser!(u64)).help("Seconds of load in each round"))
        .arg(Arg::new("cores").long("cores").default_value("1").value_parser(clap::value_parser!(usize)).help("Cores given to each server: 1 (the load takes another) or 2 (shared with the load)"))
        .arg(Arg::new("connections").long("connections").default_value("64").value_parser(clap::value_parser!(usize)).help("Keep-alive connections"))
        .arg(Arg::new("ringgate").long("ringgate").value_name("PATH").help("The executable to measure (default: beside this one)"))
        .arg(Arg::new("python").long("python").value_name("PATH").help("A venv's Python that has the peers and frameworks (default: $RINGGATE_BENCH_PYTHON, else python3)"))
        .arg(Arg::new("json").long("json").value_name("FILE").help("Also write everything measured as JSON"))
        .arg(Arg::new("list").long("list").action(ArgAction::SetTrue).help("Name the cases and servers, then end"))
        .subcommand(
            Command::new("losses").about("What clients lose at HUP and kill -9 of each part, under load").arg(
                Arg::new("times").long("times").default_value("10").value_parser(clap::value_parser!(usize)),
            )
            .arg(Arg::new("only").long("only").value_name("WORDS").help("Only events whose name has these words")),
        )
        .subcommand(
            Command::new("memory").about("What each further worker costs, of both kinds, after many requests").arg(
                Arg::new("requests").long("requests").default_value("10000").value_parser(clap::value_parser!(usize)),
            ),
        )
        .subcommand(
            Command::new("idle").about("What an idle keep-alive connection costs the edge").arg(
                Arg::new("count").long("count").default_value("10000").value_parser(clap::value_parser!(usize)),
            ),
        )
        .subcommand(
            Command::new("soak").about("What leaks, wedges or degrades under a long mixed load with bad clients, and what is given back afterwards").arg(
                Arg::new("seconds").long("seconds").default_value("300").value_parser(clap::value_parser!(u64)).help("Of load, for each kind of workers"),
            )
            .arg(Arg::new("clients").long("clients").default_value("12").value_parser(clap::value_parser!(usize)))
            .arg(Arg::new("reloads").long("reloads").default_value("25").value_parser(clap::value_parser!(usize)))
            .arg(Arg::new("seed").long("seed").default_value("1").value_parser(clap::value_parser!(u64)).help("Another makes other visits"))
            .arg(Arg::new("only").long("only").value_parser(["interpreters", "processes"]).help("Only this kind of workers"))
            .arg(Arg::new("visits").long("visits").value_name("NAME,...").value_delimiter(',').help("Only these of what clients do: to find who it is")),
        )
        .subcommand(
            Command::new("crowd").about("What a directory of very many files does to small requests beside it").arg(
                Arg::new("files").long("files").default_value("1000000").value_parser(clap::value_parser!(u64)),
            ),
        )
        .subcommand(
            Command::new("cold").about("What reading a cold set of files (4 GiB, in the temporary directory) does to small hot requests").arg(
                Arg::new("times").long("times").default_value("3").value_parser(clap::value_parser!(usize)),
            )
            .arg(Arg::new("only").long("only").value_name("SERVER").help("Only this server (ringgate or nginx)")),
        )
        .subcommand(
            Command::new("hold")
                .hide(true)
                .arg(Arg::new("port").required(true).value_parser(clap::value_parser!(u16)))
                .arg(Arg::new("count").required(true).value_parser(clap::value_parser!(usize))),
        )
        .subcommand(
            Command::new("canned")
                .about("The limit: a raw ring that finds the blank line and sends a prepared answer")
                .arg(Arg::new("port").required(true).value_parser(clap::value_parser!(u16)))
                .arg(Arg::new("bytes").required(true).value_parser(clap::value_parser!(usize)))
                .arg(Arg::new("kind").value_parser(["kept", "once", "known"]).default_value("kept")),
        )
}

/// Options of the cases: a subcommand has its own, so given before one they would say nothing.
const OF_CASES: [&str; 8] = [
    "cases",
    "servers",
    "rounds",
    "seconds",
    "cores",
    "connections",
    "json",
    "list",
];

/// What is wrong with the arguments together, though each is right by itself.
fn misplaced(matches: &ArgMatches) -> Option<String> {
    let (subcommand, _) = matches.subcommand()?;
    let given = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let option = OF_CASES.iter().find(given)?;
    Some(format!(
        "--{option} is for the cases and means nothing to '{subcommand}', which has options of its own: '{subcommand} --help' names them"
    ))
}

fn main() -> ExitCode {
    let matches = command().get_matches();
    if let Some(message) = misplaced(&matches) {
        command().error(ErrorKind::ArgumentConflict, message).exit();
    }
    if let Some(("canned", canned)) = matches.subcommand() {
        let port = *canned.get_one::<u16>("port").expect("clap requires it");
        let bytes = *canned.get_one::<usize>("bytes").expect("clap requires it");
        let kind = match canned.get_one::<String>("kind").map(String::as_str) {
            Some("once") => canned::Kind::Once,
            Some("known") => canned::Kind::Known,
            _ => canned::Kind::Kept,
        };
        return match canned::serve(port, bytes, kind) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("canned: {error}");
                ExitCode::FAILURE
            }
        };
    }
    if let Some(("hold", hold)) = matches.subcommand() {
        let port = *hold.get_one::<u16>("port").expect("clap requires it");
        let count = *hold.get_one::<usize>("count").expect("clap requires it");
        return match idle::hold(port, count) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let find = || {
        let path = |name: &str| matches.get_one::<String>(name).map(PathBuf::from);
        stacks::Tools::find(path("ringgate"), path("python"))
    };
    let special = match matches.subcommand() {
        Some(("losses", losses)) => {
            let times = *losses.get_one("times").expect("has a default");
            let only = losses.get_one::<String>("only").map(String::as_str);
            Some(cases::with_scratch(&find(), |tools, scratch| {
                losses::run(tools, times, only, scratch)
            }))
        }
        Some(("memory", memory)) => {
            let requests = *memory.get_one("requests").expect("has a default");
            Some(cases::with_scratch(&find(), |tools, scratch| {
                memory::run(tools, requests, scratch)
            }))
        }
        Some(("idle", idle)) => {
            let count = *idle.get_one("count").expect("has a default");
            Some(cases::with_scratch(&find(), |tools, scratch| {
                idle::run(tools, count, scratch)
            }))
        }
        Some(("soak", soak)) => {
            let plan = soak::Plan {
                seconds: *soak.get_one("seconds").expect("has a default"),
                clients: *soak.get_one("clients").expect("has a default"),
                reloads: *soak.get_one("reloads").expect("has a default"),
                seed: *soak.get_one("seed").expect("has a default"),
                only: soak.get_one::<String>("only").cloned(),
                visits: soak
                    .get_many("visits")
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect(),
            };
            Some(cases::with_scratch(&find(), |tools, scratch| {
                soak::run(tools, &plan, scratch)
            }))
        }
        Some(("crowd", crowd)) => {
            let files = *crowd.get_one("files").expect("has a default");
            Some(cases::with_scratch(&find(), |tools, scratch| {
                crowd::run(tools, files, scratch)
            }))
        }
        Some(("cold", cold)) => {
            let times = *cold.get_one("times").expect("has a default");
            let only = cold.get_one::<String>("only").map(String::as_str);
            Some(cases::with_scratch(&find(), |tools, scratch| {
                cold::run(tools, times, only, scratch)
            }))
        }
        _ => None,
    };
    if let Some(result) = special {
        return match result {
            Ok(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Err(message) => {
                eprintln!("ringgate-bench: {message}");
                ExitCode::FAILURE
            }
        };
    }
    if matches.get_flag("list") {
        println!(
            "cases:   {}",
            cases::ALL
                .iter()
                .map(|case| case.name)
                .collect::<Vec<_>>()
                .join(" ")
        );
        println!("servers: {}", stacks::NAMES.join(" "));
        return ExitCode::SUCCESS;
    }
    let names = |key: &str| {
        matches
            .get_many::<String>(key)
            .map(|values| values.cloned().collect::<Vec<_>>())
    };
    let plan = cases::Plan {
        cases: names("cases"),
        servers: names("servers"),
        rounds: *matches.get_one("rounds").expect("has a default"),
        seconds: *matches.get_one("seconds").expect("has a default"),
        cores: *matches.get_one("cores").expect("has a default"),
        connections: *matches.get_one("connections").expect("has a default"),
        tools: find(),
    };
    let outcome = match cases::run(&plan) {
        Ok(outcome) => outcome,
        Err(message) => {
            eprintln!("ringgate-bench: {message}");
            return ExitCode::FAILURE;
        }
    };
    print!("{}", report::table(&outcome));
    if let Some(path) = matches.get_one::<String>("json")
        && let Err(error) = std::fs::write(path, format!("{:#}\n", report::json(&outcome)))
    {
        eprintln!("ringgate-bench: cannot write {path}: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said_of(arguments: &str) -> Option<String> {
        misplaced(&command().get_matches_from(arguments.split(' ')))
    }

    #[test]
    fn options_of_the_cases_are_refused_before_a_subcommand() {
        let said = said_of("ringgate-bench --rounds 1 cold").expect("refused");
        assert!(said.starts_with("--rounds is for the cases and means nothing to 'cold'"));
        assert!(said_of("ringgate-bench --list idle").is_some());
    }

    #[test]
    fn tools_are_named_before_any_subcommand() {
        assert_eq!(
            said_of("ringgate-bench --python python3 cold --times 1"),
            None
        );
        assert_eq!(
            said_of("ringgate-bench --rounds 1 --cases static-100"),
            None
        );
    }

    #[test]
    fn every_option_of_the_cases_exists() {
        let command = command();
        let known = |name: &&str| command.get_arguments().any(|each| each.get_id() == *name);
        assert!(OF_CASES.iter().all(known));
        // --ringgate and --python.
        assert_eq!(command.get_arguments().count(), OF_CASES.len() + 2);
    }
}
