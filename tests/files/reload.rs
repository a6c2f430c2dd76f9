//! HUP and `ringgate reload` read the configuration file again: locations, their options and timeouts change while clients stay. See also live_settings.rs.

use super::harness::server::{HUP, KILL};
use super::harness::{Client, Server, Setup, eventually, process};

const SIZE: usize = 30_000_000;

fn location(path: &str, dir: &str, more: &str) -> String {
    format!("[[server.location]]\npath = '{path}'\ndir = '{dir}'\n{more}\n")
}

fn start(config: &str) -> Server {
    let setup = Setup::bare();
    let dir = setup.dir();
    for release in ["one", "two"] {
        dir.write(&format!("{release}/a.txt"), release);
    }
    dir.write("one/large.bin", vec![b'1'; SIZE]);
    dir.write("two/large.bin", "small now");
    let config = dir.write("site.toml", config);
    setup.option("--config", config).start()
}

fn reload(server: &Server, config: &str) -> (bool, String) {
    server.dir().write("site.toml", config);
    let output = server.command(&["reload"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

#[test]
fn locations_and_their_options_change_while_clients_stay() {
    let server = start(&location("/s", "one", "headers = { X-Release = '1' }"));
    let mut client = server.client();
    let mut busy = server.client();
    let first = client.get("/s/a.txt").expect(200);
    assert_eq!(
        (first.text().as_str(), first.header("x-release")),
        ("one", Some("1"))
    );
    client.get("/new/a.txt").expect(404);
    busy.send("GET /s/large.bin HTTP/1.1\r\nHost: test\r\n\r\n");
    busy.wait_bytes(1000);
    let text = location(
        "/s",
        "two",
        "headers = { X-Release = '2' }\nautoindex = true",
    ) + &location("/new", "one", "");
    let (ok, said) = reload(&server, &text);
    assert!(ok, "{said}");
    eventually("the new locations", || {
        (client.get("/new/a.txt").status == 200).then_some(())
    });
    let second = client.get("/s/a.txt").expect(200);
    assert_eq!(
        (second.text().as_str(), second.header("x-release")),
        ("two", Some("2"))
    );
    client.get("/s/").expect(200);
    // What had begun is what it was.
    assert!(busy.response().expect(200).body == vec![b'1'; SIZE]);
    assert_eq!(busy.get("/s/large.bin").expect(200).text(), "small now");
    // One that goes, by a signal this time.
    server.dir().write("site.toml", location("/new", "two", ""));
    server.signal(HUP);
    eventually("the old location is gone", || {
        (client.get("/s/a.txt").status == 404).then_some(())
    });
    assert_eq!(client.get("/new/a.txt").expect(200).text(), "two");
    // An edge that starts anew has them too.
    let edge = server.edge().unwrap();
    process::kill(edge, KILL);
    eventually("a new edge", || server.edge().filter(|now| *now != edge));
    let mut client = eventually("service again", || {
        let mut client = Client::try_connect(server.address()).ok()?;
        client.try_exchange("/new/a.txt").ok().map(|_| client)
    });
    client.get("/s/a.txt").expect(404);
    assert_eq!(client.get("/new/a.txt").expect(200).text(), "two");
}

#[test]
fn a_bad_file_changes_nothing_and_is_told_by_its_place() {
    let good = location("/s", "one", "");
    let server = start(&good);
    for (bad, told) in [
        (location("/s", "two", "symlink = 'any'"), "site.toml:4:1"),
        (
            location("/s", "two", "headers = { ETag = 'x' }"),
            "site.toml:4:13",
        ),
        (location("/s", "absent", ""), "no directory"),
        ("[[server.location]".to_owned(), "site.toml:1:"),
        (String::new(), "nothing to serve"),
    ] {
        let (ok, said) = reload(&server, &bad);
        assert!(!ok && said.contains(told), "{bad}: {said}");
        assert!(server.wait_log(told).contains("the old one stays"));
        assert_eq!(server.get("/s/a.txt").expect(200).text(), "one");
    }
    let (ok, said) = reload(&server, &location("/s", "two", ""));
    assert!(ok, "{said}");
    eventually("the good one", || {
        (server.get("/s/a.txt").expect(200).text() == "two").then_some(())
    });
}

#[test]
fn timeouts_change_and_what_cannot_is_said() {
    let server = start(&location("/s", "one", ""));
    let mut client = server.client();
    client.get("/s/a.txt").expect(200);
    let text = format!(
        "keep_alive = 0\nbacklog = 7\npid = 'other.pid'\n{}",
        location("/s", "one", "")
    );
    let (ok, said) = reload(&server, &text);
    assert!(ok, "{said}");
    let log = server.wait_log("takes a restart");
    assert!(
        log.contains("what was changed of pid-file takes a restart"),
        "{log}"
    );
    eventually("no connection is kept", || {
        server.client().get("/s/a.txt").closes().then_some(())
    });
}
