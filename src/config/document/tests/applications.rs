//! `[app.NAME]`.

use super::*;

#[test]
fn applications_have_names_targets_and_mounts() {
    let document =
        good("[app.shop]\ntarget = 'shop.wsgi'\n[app.blog]\ntarget = 'blog:app'\nmount = '/blog/'");
    let app = |name: &str, mount: &str, target: &str| AppDraft {
        name: name.into(),
        mount: mount.into(),
        target: target.into(),
        options: BTreeMap::new(),
        routes: Vec::new(),
    };
    let both = [
        app("blog", "/blog", "blog:app"),
        app("shop", "", "shop.wsgi:application"),
    ];
    assert_eq!(document.apps, both);
}

#[test]
fn an_application_has_options_and_routes_of_its_own() {
    let mut document = good(
        "workers = 2\n[app.shop]\ntarget = 'shop'\nmount = '/shop'\nworkers = 3\nmax_rss = '200m'\nreload = true\nloop = 'none'\n\
         env = { A = 'b' }\n[[app.shop.route]]\npath = '/shop/reports'\ntimeout = '2m'\nconcurrency = 2\n\
         [[app.shop.route]]\npath = '/shop/health/'\nhealth = true",
    );
    let app = document.apps.remove(0);
    let values = |name: &str| app.options[name].values.join(" ");
    for (name, expected) in [
        ("workers", "3"),
        ("max-rss", "200m"),
        ("reload", "true"),
        ("loop", "none"),
        ("env", "A=b"),
    ] {
        assert_eq!(values(name), expected, "{name}");
    }
    assert_eq!(app.options["workers"].label, "f.toml:5:1: workers");
    let route = |path: &str, timeout_ms, concurrency, health| Route {
        path: path.into(),
        timeout_ms,
        concurrency,
        health,
    };
    let both = [
        route("/shop/reports", Some(120_000), 2, false),
        route("/shop/health", None, 0, true),
    ];
    assert_eq!(app.routes, both);
}
