//! Clients that keep asking while a test does something to the server, and count what they saw.

use super::Client;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// What the clients saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub ok: usize,
    /// Answers with another status, as (status, body).
    pub refused: Vec<(u16, String)>,
    /// Connections that broke with a request outstanding.
    pub broken: Vec<String>,
}

/// Requests over keep-alive connections until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    pub fn start(address: SocketAddr, connections: usize, target: &str) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let clients = (0..connections).map(|_| {
            let (stop, answered, target) = (stop.clone(), answered.clone(), target.to_owned());
            std::thread::spawn(move || ask(address, &target, &stop, &answered))
        });
        Load {
            clients: clients.collect(),
            stop,
            answered,
        }
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until this many more requests were answered.
    pub fn wait_answers(&self, count: usize) {
        let aim = self.answered() + count;
        super::eventually("answers under load", || {
            (self.answered() >= aim).then_some(())
        });
    }

    pub fn finish(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for client in self.clients {
            let tally = client.join().expect("a client does not panic");
            sum.ok += tally.ok;
            sum.refused.extend(tally.refused);
            sum.broken.extend(tally.broken);
        }
        sum
    }
}

fn ask(address: SocketAddr, target: &str, stop: &AtomicBool, answered: &AtomicUsize) -> Tally {
    let request = format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut tally = Tally::default();
    while !stop.load(Ordering::Relaxed) {
        let mut client = match Client::try_connect(address) {
            Ok(client) => client,
            Err(error) => {
                tally.broken.push(format!("connect: {error}"));
                // Refused connections come in thousands a second; a few tell all.
                std::thread::sleep(std::time::Duration::from_millis(1));
                continue;
            }
        };
        while !stop.load(Ordering::Relaxed) {
            match client
                .try_send(&request)
                .and_then(|()| client.try_response("GET"))
            {
                Ok(response) => {
                    let closes = response.closes();
                    match response.status {
                        200 => tally.ok += 1,
                        status => tally.refused.push((status, response.text())),
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                    if closes {
                        break;
                    }
                }
                Err(error) => {
                    tally.broken.push(error.to_string());
                    break;
                }
            }
        }
    }
    tally
}
