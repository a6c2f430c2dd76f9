//! What is wrong in a file, and how that is told.

use super::*;

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, expected) in [
        (
            "worker = 4",
            "f.toml:1:1: no key 'worker'; did you mean 'workers'?",
        ),
        (
            "\n  keep-alive = 4",
            "f.toml:2:3: no key 'keep-alive'; did you mean 'keep_alive'?",
        ),
        (
            "keepalive = 4",
            "f.toml:1:1: no key 'keepalive'; did you mean 'keep_alive'?",
        ),
        (
            "access_logfile = '-'",
            "f.toml:1:1: no key 'access_logfile'; did you mean 'access_log'?",
        ),
        ("zzz = 4", "f.toml:1:1: no key 'zzz'"),
        (
            "config = 'x'",
            "f.toml:1:1: no key 'config': a file names no other file",
        ),
        (
            "[[location]]",
            "f.toml:1:3: no key 'location': write [[server.location]]",
        ),
        (
            "mount = []",
            "f.toml:1:1: no key 'mount': write [app.NAME] with target and mount",
        ),
        (
            "workers = 'many'",
            "f.toml:1:11: workers: expected a whole number, not 'many'",
        ),
        (
            "workers = 0",
            "f.toml:1:11: workers: 0 is out of range: from 1 to 128",
        ),
        (
            "workers = [1]",
            "f.toml:1:11: workers: expected a whole number, not a list",
        ),
        (
            "workers = -1",
            "f.toml:1:11: workers: expected a whole number, not '-1'",
        ),
        (
            "timeout = true",
            "f.toml:1:11: timeout: expected seconds, or a time with a unit (\"500ms\", \"30s\", \"2m\", \"1h\"), not true",
        ),
        (
            "kind = 'thread'",
            "f.toml:1:8: kind: expected \"auto\", \"interpreters\", \"processes\", not \"thread\"",
        ),
        (
            "bind = [':1', 2]",
            "f.toml:1:15: bind: expected a text in quotes, not 2",
        ),
        (
            "chdir = 3",
            "f.toml:1:9: chdir: expected a text in quotes, not 3",
        ),
        (
            "rings = 1\n[server]\nrings = 2",
            "f.toml:3:1: rings is given twice; here and at f.toml:1:1",
        ),
        (
            "[[server]]\n[[server]]",
            "f.toml:2:1: a second [[server]]: there is one so far, for all names",
        ),
        ("server = 1", "f.toml:1:10: server: expected a table, not 1"),
        (
            "[server.location]\npath = '/'",
            "f.toml:1:9: a location has two brackets on either side: [[server.location]]",
        ),
        (
            "[app]\ntarget = 'a'",
            "f.toml:2:1: [app.NAME] is missing: target stands where an application's name belongs",
        ),
        (
            "app = 'a:b'",
            "f.toml:1:7: an application is a section: [app.shop] with target = \"shop.wsgi:application\"",
        ),
        ("[app.a]", "f.toml:1:6: an application without target"),
        (
            "[app.a]\ntarget = 'a'\nworker = 3",
            "f.toml:3:1: no key 'worker' of an application; did you mean 'workers'?",
        ),
        (
            "[app.a]\ntarget = 'a'\npreload = 1",
            "f.toml:3:11: preload: expected true or false, not 1",
        ),
        (
            "[app.a]\ntarget = 'a'\n[app.a.route]\npath = '/'",
            "f.toml:3:1: a route has two brackets on either side: [[app.NAME.route]]",
        ),
        (
            "[app.a]\ntarget = 'a'\nroute = [{ path = '/x', timeout = '2d' }, { timeouts = 1 }]",
            "f.toml:3:35: timeout: 172800 s is out of range: from 0 s to 86400 s\n\
             f.toml:3:43: a route without path\n\
             f.toml:3:45: no key 'timeouts' of a route; did you mean 'timeout'?",
        ),
        (
            "[app.a]\ntarget = 'a'\nmount = '/a'\nroute = [{ path = '/ab' }, { path = '/a/b' }, { path = '/a/b/' }]",
            "f.toml:4:10: path: /ab is not below the mount /a\nf.toml:4:47: two routes /a/b: here and in line 4",
        ),
        (
            "[app.'a b']\ntarget = 'x'",
            "f.toml:1:6: 'a b' is no name for an application: letters, digits, '-', '_' and '.' are",
        ),
        (
            "[app.a]\ntarget = 'a'\nrings = 3",
            "f.toml:3:1: rings is the same for all applications; write it at the top of the file, or under [server]",
        ),
        (
            "[app.a]\ntargets = 'a'\ntarget = 'a'",
            "f.toml:2:1: no key 'targets' of an application; did you mean 'target'?",
        ),
        (
            "[app.a]\ntarget = 'a'\nmount = 'x'",
            "f.toml:3:9: mount: a URL prefix starts with '/', unlike 'x'",
        ),
        (
            "[[server.location]]\npath = '/a'",
            "f.toml:1:1: a location without dir",
        ),
        (
            "[[server.location]]\npath = '~ x'\ndir = 'd'",
            "f.toml:2:8: path: a prefix without regular expressions or modifiers is meant, e.g. \"/static\"",
        ),
        (
            "a = b",
            "f.toml:1:5: string values must be quoted, expected literal string",
        ),
    ] {
        assert_eq!(bad(text), expected, "{text}");
    }
}
