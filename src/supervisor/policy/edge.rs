//! The edge process as the policy sees it: up, down, and when to start it again.
//!
//! Every start is a new epoch, and a new edge is told everything from the beginning.

use super::backoff::Backoff;
use super::{Action, Context, End};
use config::LogLevel;
use control::message::ToEdge;

/// Edges that end before they were ever ready.
const FIRST_ATTEMPTS: u32 = 3;

#[derive(Debug, Default)]
pub struct Edge {
    pub state: State,
    pub epoch: u32,
    pub pid: Option<u32>,
    pub ever_ready: bool,
    /// What it said before it ended.
    failure: Option<String>,
    backoff: Backoff,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// To be started.
    #[default]
    None,
    Starting,
    Ready,
    Down {
        start_at_ms: u64,
    },
}

/// What its end means for the whole.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    StartsAgain,
    Hopeless,
}

impl Edge {
    /// A process exists: messages reach it.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Starting | State::Ready)
    }

    pub fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Down { start_at_ms } => Some(start_at_ms),
            _ => None,
        }
    }

    pub fn due(&self, now_ms: u64) -> bool {
        match self.state {
            State::None => true,
            State::Down { start_at_ms } => start_at_ms <= now_ms,
            State::Starting | State::Ready => false,
        }
    }

    /// The caller introduces the world to it next.
    pub fn start(&mut self, ctx: &mut Context<'_>) {
        self.epoch += 1;
        self.state = State::Starting;
        self.failure = None;
        ctx.edge_up = true;
        ctx.out.push(Action::StartEdge);
        ctx.edge(ToEdge::Start {
            config: Box::new(ctx.setup.config.clone()),
            epoch: self.epoch,
        });
        for address in &ctx.setup.listeners {
            ctx.edge(ToEdge::Listener {
                address: address.clone(),
            });
        }
    }

    pub fn ready(&mut self) {
        if self.state == State::Starting {
            self.state = State::Ready;
            self.ever_ready = true;
            self.backoff.worked();
        }
    }

    pub fn failed(&mut self, message: String, ctx: &mut Context<'_>) {
        ctx.log(LogLevel::Error, format!("the edge: {message}"));
        self.failure = Some(message);
    }

    /// Ended without having been asked to.
    pub fn ended(&mut self, end: &End, ctx: &mut Context<'_>) -> Verdict {
        self.pid = None;
        let was_ready = self.state == State::Ready;
        self.state = State::None;
        if !self.ever_ready
            && (self.failure.is_some() || self.backoff.failures() + 1 >= FIRST_ATTEMPTS)
        {
            if self.failure.is_none() {
                ctx.log(
                    LogLevel::Critical,
                    format!("the edge does not start ({end})"),
                );
            }
            return Verdict::Hopeless;
        }
        let start_at_ms = match was_ready {
            true => self.backoff.after_death(ctx.now_ms),
            false => self.backoff.after_failure(ctx.now_ms),
        };
        let wait_ms = start_at_ms - ctx.now_ms;
        let when = if wait_ms == 0 {
            "at once".to_owned()
        } else {
            format!("in {wait_ms} ms")
        };
        ctx.log(
            LogLevel::Error,
            format!("the edge ended ({end}); another starts {when} on the same sockets"),
        );
        self.state = State::Down { start_at_ms };
        Verdict::StartsAgain
    }
}
