//! Who gets in, when and for how long: bounds and time limits of routes, health checks, and what happens to those who wait.

use super::app_site::{AppSite, TICK_NS, get};
use super::site::{Peer, SECOND_NS};
use config::Route;
use uring::sim::{Faults, Sim, run_seeds};
use uring::time::sleep;

fn route(path: &str) -> Route {
    Route {
        path: path.into(),
        timeout_ms: None,
        concurrency: 0,
        health: false,
    }
}

fn bounded(path: &str, concurrency: usize) -> Route {
    Route {
        concurrency,
        ..route(path)
    }
}

fn site(sim: Sim, workers: u16, routes: Vec<Route>) -> AppSite {
    AppSite::with(sim, workers, |config| {
        config.apps[0].options.routes = routes
    })
}

/// Connections, each of which has asked for `path`.
fn ask(app: &AppSite, count: usize, path: &str) -> Vec<Peer> {
    (0..count)
        .map(|_| {
            let peer = app.connect();
            peer.write(get(path));
            peer
        })
        .collect()
}

async fn begun(app: &AppSite, count: usize) {
    while app.begun.get() < count {
        sleep(TICK_NS).await;
    }
}

#[test]
fn a_route_has_its_own_time_limit() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let never = Route {
            timeout_ms: Some(2_000),
            ..route("/never")
        };
        let app = site(sim, 2, vec![never]);
        let stuck = ask(&app, 1, "/never");
        let slow = ask(&app, 1, "/slow");
        begun(&app, 2).await;
        let begun_ns = uring::now();
        assert_eq!(stuck[0].answer().await.expect("an answer").status, 504);
        let took_ns = uring::now() - begun_ns;
        assert!((SECOND_NS..3 * SECOND_NS).contains(&took_ns), "{took_ns}");
        let (_, said) = app.site.said();
        let told = |message: &String| {
            message.starts_with("WorkerStuck { app: 0") && message.contains("GET /never")
        };
        assert!(said.iter().any(told), "{said:?}");
        assert_eq!(
            slow[0].answer().await.expect("an answer").body,
            b"slow",
            "the app's own limit"
        );
        app.stop();
    });
}

#[test]
fn what_waited_too_long_is_never_begun() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let hello = Route {
            timeout_ms: Some(1_000),
            ..route("/hello")
        };
        let app = site(sim, 1, vec![hello]);
        let slow = ask(&app, 1, "/slow");
        begun(&app, 1).await;
        let late = ask(&app, 2, "/hello");
        for peer in &late {
            let answer = peer.answer().await.expect("an answer");
            assert_eq!(
                (answer.status, answer.header("retry-after").is_some()),
                (503, true)
            );
        }
        assert_eq!(slow[0].answer().await.expect("an answer").status, 200);
        sleep(SECOND_NS).await;
        assert_eq!(app.begun.get(), 1);
        late[0].write(get("/hello"));
        assert_eq!(late[0].answer().await.expect("an answer").body, b"hello");
        app.stop();
    });
}

#[test]
fn a_slow_route_takes_no_more_workers_than_it_may() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = site(sim, 4, vec![bounded("/slow", 2)]);
        let slow = ask(&app, 5, "/slow");
        begun(&app, 2).await;
        let begun_ns = uring::now();
        // Workers are free, and the others of the route wait all the same.
        sleep(SECOND_NS).await;
        assert_eq!(app.begun.get(), 2);
        let other = ask(&app, 1, "/hello");
        let asked_ns = uring::now();
        assert_eq!(other[0].answer().await.expect("an answer").body, b"hello");
        assert!(uring::now() - asked_ns < SECOND_NS);
        // The first two take three seconds, so one and a half later the next two run.
        sleep(4 * SECOND_NS + SECOND_NS / 2 - (uring::now() - begun_ns)).await;
        assert_eq!(app.begun.get(), 2 + 1 + 2);
        for peer in &slow {
            assert_eq!(peer.answer().await.expect("an answer").body, b"slow");
        }
        assert_eq!(app.begun.get(), 6);
        assert_eq!(app.site.ring.apps[0].in_use(), 0);
        app.stop();
    });
}

#[test]
fn an_app_has_a_bound_of_its_own_and_a_route_counts_against_both() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let app = AppSite::with(sim, 4, |config| {
            let options = &mut config.apps[0].options;
            options.concurrency = 2;
            options.routes = vec![bounded("/slow", 1)];
        });
        let slow = ask(&app, 2, "/slow");
        begun(&app, 1).await;
        sleep(SECOND_NS).await;
        let stuck = ask(&app, 1, "/never");
        begun(&app, 2).await;
        let other = ask(&app, 1, "/hello");
        sleep(SECOND_NS).await;
        assert_eq!(app.begun.get(), 2, "the app is full, the route too");
        drop(stuck);
        assert_eq!(other[0].answer().await.expect("an answer").body, b"hello");
        for peer in &slow {
            assert_eq!(peer.answer().await.expect("an answer").body, b"slow");
        }
        app.stop();
    });
}

#[test]
fn who_leaves_the_line_is_never_begun_and_holds_up_nobody() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = site(sim, 4, vec![bounded("/slow", 1)]);
        let first = ask(&app, 1, "/slow");
        begun(&app, 1).await;
        let leaving = ask(&app, 2, "/slow");
        sleep(SECOND_NS / 2).await;
        let last = ask(&app, 1, "/slow");
        sleep(SECOND_NS / 2).await;
        drop(leaving);
        assert_eq!(first[0].answer().await.expect("an answer").body, b"slow");
        assert_eq!(last[0].answer().await.expect("an answer").body, b"slow");
        assert_eq!(app.begun.get(), 2);
        app.stop();
    });
}

#[test]
fn a_place_is_free_when_the_worker_is_not_when_the_client_left() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = site(sim, 4, vec![bounded("/slow", 1)]);
        let first = ask(&app, 1, "/slow");
        begun(&app, 1).await;
        let begun_ns = uring::now();
        let second = ask(&app, 1, "/slow");
        sleep(SECOND_NS / 10).await;
        drop(first);
        begun(&app, 2).await;
        assert!(uring::now() - begun_ns >= 3 * SECOND_NS - SECOND_NS / 10);
        assert_eq!(second[0].answer().await.expect("an answer").body, b"slow");
        app.stop();
    });
}

#[test]
fn a_dead_worker_keeps_no_place() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let mut app = site(sim, 2, vec![bounded("/die", 1)]);
        let first = ask(&app, 1, "/die");
        begun(&app, 1).await;
        let second = ask(&app, 1, "/die");
        sleep(SECOND_NS).await;
        assert_eq!(app.begun.get(), 1);
        for index in 0..2 {
            app.site.mailbox.post(crate::mailbox::ToRing::WorkerGone {
                app: 0,
                index,
                incarnation: 1,
            });
            app.start_worker(index, 2);
            app.show(control::message::AppState::Ready);
            sleep(SECOND_NS).await;
        }
        assert_eq!(first[0].answer().await.expect("an answer").status, 502);
        begun(&app, 2).await;
        drop(second);
        app.stop();
    });
}

#[test]
fn a_health_check_finds_room_and_goes_first() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let health = Route {
            health: true,
            ..route("/no-content")
        };
        let app = site(sim, 1, vec![health]);
        let slow = ask(&app, 1, "/slow");
        begun(&app, 1).await;
        // Eight slots, one of which is kept.
        let waiting = ask(&app, 6, "/stream");
        sleep(SECOND_NS).await;
        let refused = ask(&app, 1, "/hello");
        assert_eq!(refused[0].answer().await.expect("an answer").status, 503);
        let check = ask(&app, 1, "/no-content");
        assert_eq!(check[0].answer().await.expect("an answer").status, 204);
        // Some of them may have been begun since, but not all before it.
        assert!(app.begun.get() < 8, "{} before it", app.begun.get());
        for peer in slow.iter().chain(&waiting) {
            assert_eq!(peer.answer().await.expect("an answer").status, 200);
        }
        app.stop();
    });
}

#[test]
fn clients_are_told_where_the_time_went_if_they_may() {
    run_seeds(0..10, Faults::harmless, async |sim| {
        let app = AppSite::with(sim, 1, |config| {
            config.apps[0].options.server_timing = true;
        });
        let first = ask(&app, 1, "/slow");
        begun(&app, 1).await;
        let second = ask(&app, 1, "/slow");
        let told = |answer: super::site::Answer| -> (f64, f64) {
            let value = answer.header("server-timing").expect("told").to_owned();
            let (queue, time) = value.split_once(", app;dur=").expect("two figures");
            let queue = queue.strip_prefix("queue;dur=").expect("the queue first");
            (
                queue.parse().expect("a number"),
                time.parse().expect("a number"),
            )
        };
        let (queue, time) = told(first[0].answer().await.expect("an answer"));
        assert!(
            queue < 100.0 && (3000.0..3100.0).contains(&time),
            "{queue} {time}"
        );
        let (queue, time) = told(second[0].answer().await.expect("an answer"));
        assert!(
            (2000.0..3100.0).contains(&queue) && time < 3100.0,
            "{queue} {time}"
        );
        app.stop();
    });
}

#[test]
fn who_would_wait_too_long_is_told_at_once() {
    run_seeds(0..10, Faults::harmless, async |sim| {
        let hello = Route {
            timeout_ms: Some(1_000),
            ..route("/hello")
        };
        let app = site(sim, 1, vec![hello]);
        // Every one of them takes three seconds; after five the pace is known well enough.
        let slow = ask(&app, 7, "/slow");
        begun(&app, 6).await;
        let more = ask(&app, 3, "/slow");
        sleep(SECOND_NS / 10).await;
        let asked_ns = uring::now();
        let hopeless = ask(&app, 1, "/hello");
        let answer = hopeless[0].answer().await.expect("an answer");
        let retry_after: u64 = answer
            .header("retry-after")
            .and_then(|value| value.parse().ok())
            .expect("a number");
        assert_eq!(answer.status, 503);
        assert!(retry_after > 1, "{retry_after}");
        assert!(uring::now() - asked_ns < SECOND_NS / 2);
        // Who has the time waits.
        for peer in slow.iter().chain(&more) {
            assert_eq!(peer.answer().await.expect("an answer").status, 200);
        }
        app.stop();
    });
}

/// Whatever leaves, when it likes: afterwards everything is free.
#[test]
fn no_place_is_lost_in_the_crowd() {
    run_seeds(0..30, Faults::harmless, async |sim| {
        let app = AppSite::with(sim, 3, |config| {
            let options = &mut config.apps[0].options;
            options.concurrency = 3;
            options.routes = vec![bounded("/slow", 2), bounded("/hello", 1)];
        });
        for round in 0..6u64 {
            let mut peers = ask(&app, 2, "/slow");
            peers.extend(ask(&app, 2, "/hello"));
            peers.extend(ask(&app, 1, "/large"));
            for step in 0..5 {
                sleep(TICK_NS * (1 + (round * 7 + step * 13) % 40)).await;
                peers.swap_remove((round as usize * 3 + step as usize) % peers.len());
            }
        }
        sleep(20 * SECOND_NS).await;
        assert_eq!(app.site.ring.apps[0].in_use(), 0);
        let mut peers = ask(&app, 2, "/slow");
        peers.extend(ask(&app, 1, "/hello"));
        let asked_ns = uring::now();
        for peer in &peers {
            assert_eq!(peer.answer().await.expect("an answer").status, 200);
        }
        assert!(uring::now() - asked_ns < 4 * SECOND_NS, "all three at once");
        app.stop();
    });
}

/// Bounds come, go and change while requests wait, run and leave: nobody is forgotten, and in the end the last bounds hold.
#[test]
fn bounds_change_in_the_crowd() {
    run_seeds(0..20, Faults::harmless, async |sim| {
        let mut numbers: Vec<usize> = (0..24).map(|_| sim.random(4) as usize).collect();
        let app = AppSite::with(sim, 3, |config| {
            config.apps[0].options.concurrency = 2;
            config.apps[0].options.routes = vec![bounded("/slow", 1)];
        });
        let mut stay = Vec::new();
        for round in 0..6usize {
            stay.extend(ask(&app, 1, "/slow"));
            let mut leave = ask(&app, 1, "/slow");
            leave.extend(ask(&app, 1, "/hello"));
            sleep(TICK_NS * (1 + (round as u64 * 17) % 40)).await;
            let picks: Vec<usize> = numbers.drain(..4).collect();
            app.site.reconfigure(|config| {
                let options = &mut config.apps[0].options;
                options.concurrency = picks[0];
                options.routes = vec![bounded("/slow", picks[1])];
                if picks[2] > 0 {
                    options.routes.insert(0, bounded("/hello", picks[2]));
                }
                config.limits.pending = 64 + picks[3];
            });
            leave.swap_remove(picks[3] % 2);
            sleep(TICK_NS * (1 + (round as u64 * 31) % 40)).await;
        }
        for peer in &stay {
            // Eight slots are all there is; whoever finds them taken is told so at once.
            let status = peer.answer().await.expect("an answer").status;
            assert!(status == 200 || status == 503, "{status}");
        }
        sleep(20 * SECOND_NS).await;
        assert_eq!(app.site.ring.apps[0].in_use(), 0);
        app.site.reconfigure(|config| {
            let options = &mut config.apps[0].options;
            (options.concurrency, options.routes) = (0, vec![bounded("/slow", 2)]);
        });
        let before = app.begun.get();
        let slow = ask(&app, 3, "/slow");
        sleep(SECOND_NS).await;
        assert_eq!(
            app.begun.get(),
            before + 2,
            "two at once, and no place is lost"
        );
        for peer in &slow {
            assert_eq!(peer.answer().await.expect("an answer").status, 200);
        }
        app.stop();
    });
}

#[test]
fn a_request_keeps_the_time_it_began_with() {
    run_seeds(0..10, Faults::harmless, async |sim| {
        let app = site(sim, 2, Vec::new());
        let old = ask(&app, 1, "/slow");
        begun(&app, 1).await;
        app.site.reconfigure(|config| {
            config.apps[0].options.timeout_ms = 1_000;
            config.apps[0].options.server_timing = true;
        });
        let new = ask(&app, 1, "/slow");
        assert_eq!(new[0].answer().await.expect("an answer").status, 504);
        let answer = old[0].answer().await.expect("an answer");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("server-timing"), None);
        let answer = {
            old[0].write(get("/hello"));
            old[0].answer().await.expect("an answer")
        };
        assert!(answer.header("server-timing").is_some());
        app.stop();
    });
}
