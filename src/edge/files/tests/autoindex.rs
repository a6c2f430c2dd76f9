//! Directories shown, over a real directory and a simulated one.

use super::real::Site;
use super::*;
use config::{Autoindex, StaticOptions, Symlinks};
use uring::sim::{Faults, run, run_seeds};

fn options(autoindex: Autoindex) -> StaticOptions {
    StaticOptions {
        autoindex,
        ..StaticOptions::default()
    }
}

fn site() -> Site {
    let site = Site::new(&format!("listing-{:?}", std::thread::current().id()));
    site.write("d/b.txt", "12345")
        .write("d/A&B.txt", "1")
        .write("d/sub/x", "x")
        .write("d/.hidden", "x");
    site.write("d/größe", "x").write("with/index.html", "index");
    site.link("d/inside", "b.txt");
    site.link("d/outside", "/etc/passwd");
    site.link("d/gone", "nothing");
    std::process::Command::new("mkfifo")
        .arg(site.path("d/fifo"))
        .status()
        .expect("mkfifo runs");
    site
}

#[test]
fn a_page_shows_what_can_be_had() {
    let site = site();
    site.serve_with(options(Autoindex::Html), async |server: Server| {
        for _ in 0..2 {
            let reply = server.ask("GET /s/d/").await;
            assert_eq!(
                (reply.status, reply.header("Content-Type")),
                (200, Some("text/html; charset=utf-8"))
            );
            assert_eq!(reply.header("Vary"), Some("Accept"));
            assert_eq!(reply.header("X-Listing-Truncated"), None);
            let page = String::from_utf8(reply.body).expect("UTF-8");
            for part in [
                "<h1>/s/d/</h1>",
                "href=\"../\"",
                "./sub/",
                "./b.txt",
                "./A%26B.txt\">A&amp;B.txt",
                "./gr%C3%B6%C3%9Fe",
                "./inside",
                "5 entries",
            ] {
                assert!(page.contains(part), "{part}\n{page}");
            }
            for part in ["hidden", "fifo", "outside", "gone", "passwd"] {
                assert!(!page.contains(part), "{part}\n{page}");
            }
        }
        let head = server.ask("HEAD /s/d/").await;
        assert!(
            head.status == 200
                && head.body.is_empty()
                && head.header("Content-Length") != Some("0")
        );
        assert_eq!(server.ask("GET /s/with/").await.body, b"index");
        assert_eq!(server.status("GET /s/d").await, 301);
        assert_eq!(server.status("GET /s/absent/").await, 404);
        assert_eq!(server.status("GET /s/d/b.txt/").await, 404);
        assert_eq!(server.status("GET /s/d/outside/").await, 404);
        let root = String::from_utf8(server.ask("GET /s/").await.body).expect("UTF-8");
        assert!(root.contains("./d/") && !root.contains("../"), "{root}");
        let sorted = String::from_utf8(server.ask("GET /s/d/?sort=size&order=desc").await.body)
            .expect("UTF-8");
        assert!(sorted.find("./b.txt") < sorted.find("./A%26B.txt"));
    });
}

#[test]
fn json_for_those_who_ask() {
    let site = site();
    for (autoindex, accept, is_json) in [
        (Autoindex::Html, "application/json", true),
        (Autoindex::Html, "text/html,*/*;q=0.8", false),
        (Autoindex::Html, "*/*", false),
        (Autoindex::Json, "text/html", true),
    ] {
        site.serve_with(options(autoindex), async |server: Server| {
            let reply = server.ask(&format!("GET /s/d/\r\nAccept: {accept}")).await;
            assert_eq!(
                reply.header("Content-Type") == Some("application/json"),
                is_json,
                "{accept}"
            );
            if is_json {
                let items: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
                let names: Vec<_> = items
                    .as_array()
                    .expect("an array")
                    .iter()
                    .map(|item| item["name"].as_str())
                    .collect();
                let expected = ["sub", "A&B.txt", "b.txt", "größe", "inside"].map(Some);
                assert_eq!(names, expected);
                assert_eq!(
                    (&items[0]["type"], &items[2]["type"]),
                    (&"directory".into(), &"file".into())
                );
                assert_eq!(items[4]["size"], 5);
                assert!(
                    items[2]["mtime"]
                        .as_str()
                        .is_some_and(|date| date.ends_with(" GMT"))
                );
            }
        });
    }
}

#[test]
fn policies_hold_in_listings_too() {
    let site = site();
    for (symlinks, inside, outside) in [
        (Symlinks::Off, false, false),
        (Symlinks::Any, true, true),
        (Symlinks::Owner, true, false),
    ] {
        // Nobody in this test owns both a link here and /etc/passwd, unless it runs as root.
        let outside = outside || symlinks == Symlinks::Owner && is_root(&site);
        let options = StaticOptions {
            symlinks,
            dotfiles: true,
            ..options(Autoindex::Html)
        };
        site.serve_with(options, async |server: Server| {
            let page = String::from_utf8(server.ask("GET /s/d/").await.body).expect("UTF-8");
            assert_eq!(
                (page.contains("inside"), page.contains("outside")),
                (inside, outside),
                "{symlinks:?}"
            );
            assert!(page.contains(".hidden"));
        });
    }
}

fn is_root(site: &Site) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(site.path("d")).is_ok_and(|meta| meta.uid() == 0)
}

/// More entries than are shown: the listing is cut and says so, and others are served meanwhile.
#[test]
fn a_huge_directory_is_cut_and_slows_nobody() {
    let site = Site::new("huge");
    std::fs::create_dir(site.path("huge")).expect("mkdir");
    for index in 0..listing::ITEMS_MAX + 50 {
        std::fs::File::create(site.path(&format!("huge/file-{index}"))).expect("create");
    }
    site.write("a", "a");
    site.serve_with(options(Autoindex::Html), async |server: Server| {
        let server = Rc::new(server);
        let done = Rc::new(Cell::new(0));
        for _ in 0..10 {
            let (server, done) = (Rc::clone(&server), Rc::clone(&done));
            uring::spawn(async move {
                let reply = server.ask("GET /s/huge/").await;
                assert_eq!(reply.header("X-Listing-Truncated"), Some("10000"));
                assert!(
                    String::from_utf8_lossy(&reply.body)
                        .contains("10000 entries are shown; there are more.")
                );
                done.set(done.get() + 1);
            });
        }
        let mut between = 0;
        while done.get() < 10 {
            assert_eq!(server.ask("GET /s/a").await.body, b"a");
            between += 1;
            uring::time::sleep(100_000).await;
        }
        assert!(
            between > 10,
            "only {between} answers while ten listings were made"
        );
    });
}

const OLD_S: i64 = 784_111_777;

fn simulated(sim: &Sim) -> Server {
    sim.add_file("/www/d/b.txt", "12345", OLD_S);
    sim.add_file("/www/d/a.txt", "1", OLD_S);
    sim.add_file("/www/d/.hidden", "1", OLD_S);
    sim.add_file("/www/d/sub/x", "1", OLD_S);
    sim.add_file("/secret", "secret", OLD_S);
    sim.add_link("/www/d/inside", "b.txt");
    sim.add_link("/www/d/outside", "../../secret");
    sim.add_link("/www/d/loop", "loop");
    let options = options(Autoindex::Json);
    Server::with(Path::new("/www"), options, Wire::Simulated(sim.clone()))
}

const SHOWN: [(&str, Option<u64>); 4] = [
    ("sub", None),
    ("a.txt", Some(1)),
    ("b.txt", Some(5)),
    ("inside", Some(5)),
];

fn shown(reply: &Reply) -> Vec<(String, Option<u64>)> {
    let items: serde_json::Value = serde_json::from_slice(&reply.body).expect("JSON");
    let items = items.as_array().expect("an array").iter();
    items
        .map(|item| {
            let name = item["name"].as_str().expect("a name");
            (name.to_owned(), item["size"].as_u64())
        })
        .collect()
}

/// Whatever order the file system has, and whenever the thread's end is heard of: the same page.
#[test]
fn listings_do_not_show_what_happens_in_the_machine() {
    run_seeds(0..40, Faults::harmless, async |sim: Sim| {
        let server = simulated(&sim);
        for _ in 0..2 {
            for request in ["GET /s/d/", "GET /s/d/?sort=name"] {
                let reply = server.ask(request).await;
                let shown = shown(&reply);
                let shown: Vec<_> = shown
                    .iter()
                    .map(|(name, size)| (name.as_str(), *size))
                    .collect();
                assert_eq!((reply.status, shown.as_slice()), (200, &SHOWN[..]));
            }
            assert_eq!(server.status("GET /s/d").await, 301);
            assert_eq!(server.status("GET /s/d/b.txt/").await, 404);
            assert_eq!(server.status("GET /s/absent/").await, 404);
        }
        sim.add_file("/www/d/c.txt", "new", OLD_S);
        assert_eq!(
            shown(&server.ask("GET /s/d/").await).len(),
            5,
            "a listing is never kept"
        );
    });
}

/// A disk that fails, or no thread to be had: 500 or 503, or an entry less whose own look failed; never half a page.
#[test]
fn a_bad_disk_makes_no_half_listing() {
    let faults = |seed| Faults {
        io_error: 200,
        ..Faults::harmless(seed)
    };
    let mut seen = [0; 3];
    run_seeds(0..60, faults, async |sim: Sim| {
        let server = simulated(&sim);
        for _ in 0..5 {
            let reply = server.ask("GET /s/d/").await;
            match reply.status {
                200 => {
                    let mut expected = SHOWN.to_vec();
                    let shown = shown(&reply);
                    if shown.len() == 3 {
                        expected.pop();
                    }
                    let shown: Vec<_> = shown
                        .iter()
                        .map(|(name, size)| (name.as_str(), *size))
                        .collect();
                    assert_eq!(shown, expected);
                    seen[0] += 1;
                }
                500 => seen[1] += 1,
                503 => seen[2] += 1,
                other => panic!("{other}"),
            }
        }
        sim.set_faults(Faults::NONE);
        assert_eq!(shown(&server.ask("GET /s/d/").await).len(), SHOWN.len());
    });
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

/// A slow look at a directory keeps nobody waiting, and not even the same client's next request is told of the wrong one.
#[test]
fn others_are_answered_while_a_listing_is_made() {
    let slow = Faults {
        delay: 1000,
        delay_max_ns: 5_000_000_000,
        ..Faults::NONE
    };
    run(7, slow, async |sim: Sim| {
        let server = Rc::new(simulated(&sim));
        sim.set_faults(Faults::NONE);
        assert_eq!(server.status("GET /s/d/a.txt").await, 200);
        sim.set_faults(slow);
        let done = Rc::new(Cell::new(false));
        let (there, listed) = (Rc::clone(&server), Rc::clone(&done));
        let start_ns = uring::now();
        uring::spawn(async move {
            assert_eq!(there.status("GET /s/d/").await, 200);
            listed.set(true);
        });
        uring::yield_now().await;
        assert_eq!(server.ask("GET /s/d/a.txt").await.body, b"1");
        assert!(uring::now() - start_ns < 1_000_000 && !done.get());
        while !done.get() {
            uring::time::sleep(1_000_000_000).await;
        }
    });
}
