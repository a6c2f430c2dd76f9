//! What the ring threads know of the apps beyond the exchange: immutable, replaced whole on every change.
//!
//! Owned by the control thread, shared by reference. Invariant: `apps` is indexed as `config.apps`.
//! Must not know how the facts were learned.

use config::{Interface, Kind};
use control::message::AppState;

/// One generation of the view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub apps: Vec<AppView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppView {
    pub name: String,
    pub state: AppState,
    /// Why it is not ready: the text of a 503 while no worker is up. "" when there is nothing to say.
    pub message: String,
    pub workers: Vec<WorkerView>,
}

/// A worker that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerView {
    pub index: u16,
    pub incarnation: u16,
    pub generation: u32,
    pub pid: u32,
    pub kind: Kind,
    pub interface: Interface,
    /// Monotonic clock.
    pub up_ns: u64,
}

impl Snapshot {
    /// Before any news: every app is starting.
    pub fn starting(config: &config::Config) -> Snapshot {
        let apps = config.apps.iter().map(|app| AppView {
            name: app.name.clone(),
            state: AppState::Starting,
            message: String::new(),
            workers: Vec::new(),
        });
        Snapshot {
            apps: apps.collect(),
        }
    }
}

impl AppView {
    /// Takes in a worker; one that had the same index is replaced.
    pub fn worker_up(&mut self, worker: WorkerView) {
        self.workers.retain(|other| other.index != worker.index);
        self.workers.push(worker);
        self.workers.sort_unstable_by_key(|worker| worker.index);
    }

    /// Forgets a worker, unless its seat has been taken again meanwhile.
    pub fn worker_gone(&mut self, index: u16, incarnation: u16) {
        self.workers
            .retain(|worker| (worker.index, worker.incarnation) != (index, incarnation));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_farewell_does_not_hit_the_successor() {
        let mut app = AppView {
            name: "shop".into(),
            state: AppState::Ready,
            message: String::new(),
            workers: Vec::new(),
        };
        let worker = WorkerView {
            index: 3,
            incarnation: 1,
            generation: 1,
            pid: 10,
            kind: Kind::Processes,
            interface: Interface::Wsgi,
            up_ns: 0,
        };
        app.worker_up(worker);
        app.worker_up(WorkerView {
            incarnation: 2,
            pid: 11,
            ..worker
        });
        app.worker_gone(3, 1);
        assert_eq!(app.workers.len(), 1);
        assert_eq!(app.workers[0].pid, 11);
        app.worker_gone(3, 2);
        assert!(app.workers.is_empty());
    }
}
