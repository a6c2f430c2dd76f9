//! The end of the edge: what ring threads and hosts have handed over is written, and what was asked is answered.
//!
//! Everything here has a bound: neither an asker that does not read nor a slow disk holds up the exit for longer.

use super::{Commands, Control, note_lost};
use crate::mailbox::{FromRing, OutboxReceiver};
use config::LogLevel;
use std::time::Duration;

/// How long, and how often it is looked whether, the answers to commands may take to be written before the exit.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
const ANSWER_LOOK: Duration = Duration::from_millis(5);
/// How long a slow disk may hold up the exit.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// Takes in everything that the ring threads have handed over, and writes answers and logs to their end.
pub(super) async fn finish(control: &Control, from_rings: &mut OutboxReceiver) {
    let answered = async {
        let decided = |commands: &Commands| commands.unwritten <= commands.waiting.len();
        while !decided(&control.commands.borrow()) {
            tokio::time::sleep(ANSWER_LOOK).await;
        }
    };
    // An asker that does not take its answer is not waited for longer.
    drop(tokio::time::timeout(ANSWER_PATIENCE, answered).await);
    {
        let mut world = control.world.borrow_mut();
        for ring in &mut world.rings {
            // A thread that said `Drained` ends at once; one that hangs is left to the exit of the process.
            let ended = ring.drained
                || ring
                    .thread
                    .as_ref()
                    .is_some_and(std::thread::JoinHandle::is_finished);
            let thread = ring.thread.take_if(|_| ended);
            if thread.is_some_and(|thread| thread.join().is_err()) {
                control.logs.say(
                    LogLevel::Critical,
                    "a ring thread panicked; see stderr".into(),
                );
            }
        }
    }
    while let Some(message) = from_rings.try_next() {
        match message {
            FromRing::AccessLog { lines, log } => control.logs.access(lines, log),
            FromRing::Answers(answers) => control.count(&answers),
            FromRing::Log(line) => control.logs.write(&line),
            _ => {}
        }
    }
    note_lost(control, from_rings);
    if tokio::time::timeout(FLUSH_PATIENCE, control.logs.stop())
        .await
        .is_err()
    {
        eprintln!(
            "a log could not be written to its end in {} s",
            FLUSH_PATIENCE.as_secs()
        );
    }
}
