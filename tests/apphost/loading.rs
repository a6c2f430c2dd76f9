//! `MODULE:CALLABLE`: what is found, and what is said when it is not.

use crate::driver::{Setup, get};
use config::Kind;
use control::message::FromHost;

const APPS: &str = "
class Space: pass
def answer(text):
    def application(environ, start_response):
        start_response('200 OK', [])
        return [text.encode()]
    return application
application = answer('default')
shop = Space()
shop.wsgi = answer('dotted')
def create_app(name='nobody', *, loud=False):
    return answer(name.upper() if loud else name)
def broken_factory():
    raise ValueError('no database')
def none_factory():
    return None
number = 42
";

fn target(target: &str) -> (Setup, crate::harness::TempDir) {
    let (mut setup, dir) = Setup::source(APPS, Kind::Processes, 1);
    setup.spec.target = target.to_owned();
    (setup, dir)
}

#[test]
fn what_a_target_names_is_found() {
    for (name, text) in [
        ("app", "default"),
        ("app:application", "default"),
        ("app:shop.wsgi", "dotted"),
        ("app:create_app()", "nobody"),
        ("app:create_app('me')", "me"),
        ("app:create_app(name='me', loud=True)", "ME"),
    ] {
        let (setup, _dir) = target(name);
        assert_eq!(setup.ready().call(&get("/")).text(), text, "{name}");
    }
}

/// Stage, message and traceback of a target that cannot be served.
fn failure(setup: Setup) -> (String, String, String) {
    let mut host = setup.start();
    let message = host.until(|message| matches!(message, FromHost::Failed { .. }));
    assert!(!host.child.wait().expect("our child").success());
    let FromHost::Failed {
        stage,
        message,
        traceback,
    } = message
    else {
        unreachable!("just matched")
    };
    (stage, message, traceback)
}

#[track_caller]
fn fails(name: &str, stage: &str, words: &str) {
    let (setup, _dir) = target(name);
    let (found, message, traceback) = failure(setup);
    assert_eq!(found, stage, "{message}");
    assert!(message.contains(words), "{message}");
    assert_eq!(traceback, "", "{name}");
}

#[test]
fn what_is_not_there_is_named_with_what_may_be_meant() {
    fails(
        "ap:application",
        "import",
        "no module named 'ap', looked for in",
    );
    fails("ap:application", "import", "did you mean 'app'?");
    fails("app.sub:application", "import", "no module named 'app.sub'");
    fails("app.py:application", "import", "no module named 'app.py'");
    fails(
        "app.py:application",
        "import",
        "(a module is named with dots: app:...)",
    );
    fails(
        "./app.py:application",
        "import",
        "'./app.py' in './app.py:application' is not a module name (a module is named with dots: app:...)",
    );
    fails(
        "app:aplication",
        "callable",
        "module 'app' has no 'aplication'; did you mean app:application?",
    );
    fails(
        "app:zzz",
        "callable",
        "module 'app' has no 'zzz'; there is app:application",
    );
    fails("app:shop.zzz", "callable", "module 'app' has no 'shop.zzz'");
    fails(
        "app:number",
        "callable",
        "'number' in module 'app' is a int, not callable; there is app:application",
    );
    fails(
        "app:number()",
        "callable",
        "not a factory that can be called",
    );
    fails(
        "app:none_factory()",
        "callable",
        "the factory 'none_factory()' in module 'app' returned None, not an application",
    );
    fails(
        "app:create_app(os)",
        "callable",
        "neither a name nor a call with literal arguments",
    );
    fails(
        "app:1 +",
        "callable",
        "neither a name nor a call with literal arguments",
    );
}

#[test]
fn faults_inside_the_app_come_with_its_traceback_and_no_frame_of_ours() {
    let (setup, _dir) = target("app:broken_factory()");
    let (stage, message, traceback) = failure(setup);
    assert_eq!(stage, "callable");
    assert!(
        message.contains(
            "the factory 'broken_factory()' in module 'app' failed: ValueError: no database"
        ),
        "{message}"
    );
    assert!(
        traceback.contains("raise ValueError('no database')"),
        "{traceback}"
    );
    for (source, words) in [
        (
            "import a_module_nobody_has",
            "importing 'app' failed: ModuleNotFoundError: No module named 'a_module_nobody_has'",
        ),
        (
            "from os import nothing_there",
            "importing 'app' failed: ImportError: cannot import name 'nothing_there'",
        ),
        ("def broken(:", "importing 'app' failed: SyntaxError"),
        (
            "raise SystemExit(5)",
            "importing 'app' failed: SystemExit: 5",
        ),
        (
            "import app.nothing",
            "importing 'app' failed: ModuleNotFoundError",
        ),
    ] {
        for kind in crate::kinds() {
            let (setup, _dir) = Setup::source(source, kind, 1);
            let (stage, message, traceback) = failure(setup);
            assert_eq!(stage, "import", "{source}");
            assert!(message.contains(words), "{source}: {message}");
            assert!(traceback.contains("app.py"), "{source}: {traceback}");
            assert!(
                !traceback.contains("<ringgate>") && !traceback.contains("importlib/__init__"),
                "{source}: {traceback}"
            );
        }
    }
}
