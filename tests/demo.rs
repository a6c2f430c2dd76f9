//! The demo site as scripts/run serves it: Django, Flask, a bare callable and static files on one port.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

use harness::{Client, Response, Server, Setup, python, shared, skipped};
use std::process::Command;
use std::sync::OnceLock;

/// The demo with a database of its own, or `None` where its frameworks are not installed.
fn server() -> Option<&'static Server> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    if !python::has_frameworks() {
        skipped("RINGGATE_TEST_PYTHON is not set; scripts/test sets it");
        return None;
    }
    Some(shared(&SERVER, || {
        let demo = python::root().join("demo");
        let setup = Setup::bare()
            .arg("shop.wsgi:application")
            .option("--chdir", &demo)
            .workers(2);
        let (database, files) = (
            setup.dir().path().join("shop.sqlite3"),
            setup.dir().path().join("staticfiles"),
        );
        let manage = |arguments: &[&str]| {
            let mut command = Command::new(python::python());
            command
                .arg("manage.py")
                .args(arguments)
                .current_dir(&demo)
                .env("SHOP_DATABASE", &database)
                .env("SHOP_STATIC", &files);
            let output = command.output().unwrap();
            assert!(
                output.status.success(),
                "manage.py {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        manage(&["migrate", "--verbosity", "0"]);
        manage(&["seed"]);
        manage(&["collectstatic", "--noinput", "--verbosity", "0"]);
        let files_option = format!("/static={}", files.display());
        let setup = setup
            .env("SHOP_DATABASE", &database)
            .env("SHOP_STATIC", &files)
            .env("SHOP_HOSTS", "*");
        setup
            .also("--mount", "/flask=upload.app:create_app()")
            .also("--mount", "/raw=raw:application")
            .also("--static", files_option)
    }))
}

/// A browser: cookies kept, forms filled in.
struct Browser {
    client: Client,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(server: &Server) -> Browser {
        Browser {
            client: server.client(),
            cookies: Vec::new(),
        }
    }

    fn headers(&self) -> String {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if pairs.is_empty() {
            String::new()
        } else {
            format!("Cookie: {}\r\n", pairs.join("; "))
        }
    }

    fn keep(&mut self, response: Response) -> Response {
        for value in response.header_values("set-cookie") {
            let (name, value) = value.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(each, _)| each != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        response
    }

    fn get(&mut self, target: &str) -> Response {
        let response = self.client.request("GET", target, &self.headers(), b"");
        self.keep(response)
    }

    /// Posts a form with the token of the page that shows it.
    fn post(&mut self, target: &str, page: &str, fields: &str) -> Response {
        let text = self.get(page).expect(200).text();
        let (_, rest) = text
            .split_once("csrfmiddlewaretoken\" value=\"")
            .expect("a form with a token");
        let token = rest.split('"').next().unwrap();
        let headers = format!(
            "{}Content-Type: application/x-www-form-urlencoded\r\n",
            self.headers()
        );
        let body = format!("csrfmiddlewaretoken={token}&{fields}");
        let response = self
            .client
            .request("POST", target, &headers, body.as_bytes());
        self.keep(response)
    }
}

#[test]
fn every_link_of_the_front_page_works() {
    let Some(server) = server() else { return };
    let front = server.get("/").expect(200).text();
    let mut targets: Vec<&str> = front
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    targets.extend(
        front
            .split("src=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap()),
    );
    assert!(targets.len() > 15, "{targets:?}");
    for target in targets {
        let status = server.get(target).status;
        let expected = if target == "/raw/error" { 500 } else { 200 };
        assert!(status == expected || status == 302, "{target}: {status}");
    }
}

#[test]
fn the_style_sheet_comes_from_the_edge() {
    let Some(server) = server() else { return };
    let front = server.get("/").expect(200).text();
    let (_, rest) = front.split_once("stylesheet\" href=\"").unwrap();
    let target = rest.split('"').next().unwrap();
    let style = server.get(target).expect(200);
    assert!(
        style.header("etag").is_some()
            && style
                .header("content-type")
                .unwrap()
                .starts_with("text/css"),
        "{style:?}"
    );
    server.get("/static/admin/css/base.css").expect(200);
}

#[test]
fn a_visitor_buys_something() {
    let Some(server) = server() else { return };
    let mut browser = Browser::new(server);
    assert!(
        browser
            .get("/products/?words=ring")
            .expect(200)
            .text()
            .contains("Key ring")
    );
    browser
        .post("/basket/add/key-ring/", "/products/key-ring/", "")
        .expect(302);
    assert!(
        browser
            .get("/basket/")
            .expect(200)
            .text()
            .contains("Key ring")
    );
    // An order needs a customer.
    let away = browser.post("/basket/", "/basket/", "").expect(302);
    assert!(
        away.header("location")
            .unwrap()
            .starts_with("/accounts/login/"),
        "{away:?}"
    );
    browser
        .post(
            "/accounts/login/",
            "/accounts/login/",
            "username=demo&password=demo",
        )
        .expect(302);
    browser.post("/basket/", "/basket/", "").expect(302);
    let orders = browser.get("/orders/").expect(200).text();
    assert!(orders.contains("Key ring"), "{orders}");
    assert!(
        browser
            .get("/admin/catalog/order/")
            .expect(200)
            .text()
            .contains("demo")
    );
    browser
        .post("/accounts/logout/", "/orders/", "")
        .expect(302);
    browser.get("/orders/").expect(302);
}

#[test]
fn a_review_is_checked_and_kept() {
    let Some(server) = server() else { return };
    let mut browser = Browser::new(server);
    browser
        .post(
            "/products/lych-gate/",
            "/products/lych-gate/",
            "author=Z&stars=9&text=x",
        )
        .expect(422);
    browser
        .post(
            "/products/lych-gate/",
            "/products/lych-gate/",
            "author=Zo%C3%AB&stars=5&text=Sch%C3%B6n",
        )
        .expect(302);
    let page = browser.get("/products/lych-gate/").expect(200).text();
    assert!(page.contains("Zoë") && page.contains("Schön"), "{page}");
}

#[test]
fn a_form_without_its_token_is_refused() {
    let Some(server) = server() else { return };
    server
        .client()
        .request(
            "POST",
            "/basket/add/key-ring/",
            "Content-Type: application/x-www-form-urlencoded\r\n",
            b"a=b",
        )
        .expect(403);
}

#[test]
fn json_and_csv() {
    let Some(server) = server() else { return };
    assert!(
        server.get("/api/products/").expect(200).json()["products"]
            .as_array()
            .unwrap()
            .len()
            >= 10
    );
    assert!(
        server
            .get("/stock.csv")
            .expect(200)
            .text()
            .contains("key-ring,4.20,")
    );
}

#[test]
fn flask_is_mounted() {
    let Some(server) = server() else { return };
    let about = server.get("/flask/about.json").expect(200).json();
    assert_eq!(
        (about["root"].as_str(), about["path"].as_str()),
        (Some("/flask"), Some("/about.json"))
    );
    let body = [
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n".as_slice(),
        &[1; 1_000_000],
        b"\r\n--B--\r\n",
    ]
    .concat();
    let headers = "Content-Type: multipart/form-data; boundary=B\r\nAccept: application/json\r\n";
    let facts = server
        .client()
        .request("POST", "/flask/", headers, &body)
        .expect(200)
        .json();
    assert_eq!(facts["bytes"], 1_000_000);
}

#[test]
fn the_bare_callable_is_mounted() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    assert_eq!(
        client.get("/raw/hello").expect(200).text(),
        "Hello, world!\n"
    );
    assert!(
        client
            .get("/raw/stream")
            .expect(200)
            .text()
            .ends_with("line 5 of 5\n")
    );
    assert!(
        client
            .get("/raw/file")
            .expect(200)
            .text()
            .contains("wsgi.file_wrapper")
    );
    assert!(
        client
            .get("/raw/environ")
            .expect(200)
            .text()
            .contains("SCRIPT_NAME = '/raw'")
    );
    client.get("/raw/error").expect(500);
}

#[test]
fn a_browser_sees_the_pages() {
    let Some(server) = server() else { return };
    let output = Command::new(python::python())
        .arg(python::root().join("tests/visitors/browser.py"))
        .arg(format!("http://{}", server.address()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        return skipped(&format!(
            "no browser here (apt-get install chromium-headless-shell, or playwright install chromium): {said}"
        ));
    }
    assert!(output.status.success(), "{said}");
}
