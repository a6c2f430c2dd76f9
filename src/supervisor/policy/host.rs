//! One app-host process as the policy sees it: what it is for, which seats it holds, when patience with it ends.

use super::HostId;
use config::{Interface, Kind};

/// What a host is doing, and until when it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Tries the import in a sub-interpreter; thrown away afterwards.
    Probe {
        deadline_ms: u64,
    },
    Starting,
    Serving,
    /// Takes no more requests; `Quit` follows.
    Draining {
        quit_at_ms: u64,
    },
    /// Was told to end; SIGKILL follows.
    Quitting {
        kill_at_ms: u64,
    },
    /// SIGKILL is on its way.
    Killed,
}

#[derive(Debug, Clone)]
pub struct Host {
    pub id: HostId,
    pub generation: u32,
    pub kind: Kind,
    pub role: Role,
    pub pid: Option<u32>,
    pub seats: Vec<Seat>,
    /// Seats of one worker: its threads.
    pub threads: usize,
    /// Its workers may have taken requests.
    pub open: bool,
    pub started_ms: u64,
    /// When to say next that it is still importing.
    pub reminder_ms: u64,
    /// Some worker is stuck for good: a successor has been asked for.
    pub condemned: bool,
    /// When to look at the exchange again, while something is stuck.
    pub look_at_ms: Option<u64>,
    /// `interpreters`: each of its workers is too old after so many requests; 0: never.
    pub limit: u64,
}

/// A place of this host in the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub index: u16,
    /// The first seat of the same worker; it stands for the worker.
    pub leader: u16,
    /// Of the worker that is up, or of the next one.
    pub incarnation: u16,
    /// Set while the worker is up.
    pub pid: Option<u32>,
    /// What the worker that is up speaks.
    pub interface: Interface,
    pub stuck: Option<Stuck>,
    /// When its worker came up.
    pub up_ms: u64,
    /// It is replaced after so many requests; 0: never.
    pub limit: u64,
    /// A leader that is not up yet: its worker takes over from the one of this leader.
    pub replaces: Option<u16>,
    /// It was told to finish, until then.
    pub leave_by_ms: Option<u64>,
}

/// A worker whose request ran over its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    pub since_ms: u64,
    /// How often more was done than asking the host.
    pub measures: u32,
}

impl Host {
    pub fn seat(&mut self, index: u16) -> Option<&mut Seat> {
        self.seats.iter_mut().find(|seat| seat.index == index)
    }

    pub fn is_leaving(&self) -> bool {
        matches!(
            self.role,
            Role::Draining { .. } | Role::Quitting { .. } | Role::Killed
        )
    }

    pub fn deadline(&self) -> Option<u64> {
        let role = match self.role {
            Role::Probe { deadline_ms } => Some(deadline_ms),
            Role::Starting => Some(self.reminder_ms),
            Role::Draining { quit_at_ms } => Some(quit_at_ms),
            Role::Quitting { kill_at_ms } => Some(kill_at_ms),
            Role::Serving => self.seats.iter().filter_map(|seat| seat.leave_by_ms).min(),
            Role::Killed => None,
        };
        role.into_iter().chain(self.look_at_ms).min()
    }

    pub fn state_name(&self) -> &'static str {
        match self.role {
            Role::Probe { .. } => "probe",
            Role::Starting => "starting",
            Role::Serving => "serving",
            Role::Draining { .. } => "draining",
            Role::Quitting { .. } | Role::Killed => "ending",
        }
    }
}
