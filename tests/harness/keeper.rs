//! Starts the processes under test from one thread that lives as long as the test binary.
//!
//! The kernel kills them with that thread (`setpriv --pdeathsig`), so that a server shared through a static, which is
//! never dropped, or one whose test binary was killed, does not stay behind. The thread matters: the signal is sent
//! when the parent *thread* ends, and test threads are short-lived.

use std::io;
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Order = (Command, Sender<io::Result<Child>>);

/// Starts the command in the keeper's thread.
pub fn spawn(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    answer
                        .send(command.spawn())
                        .expect("the asking test waits for the answer");
                }
            })
            .expect("a thread can be started");
        Mutex::new(orders)
    });
    let (answer, result) = channel();
    orders
        .lock()
        .expect("no test panics while it holds this")
        .send((command, answer))
        .expect("the keeper lives as long as we do");
    result.recv().expect("the keeper answers every order")
}

/// `program`, to be killed by the kernel when the keeper's thread ends.
pub fn mortal(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}
