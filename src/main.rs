//! The command line: dispatch to the supervisor, the edge or a client command, and the exit codes.

fn main() {}
