//! What forked workers have in common with the process that imported the application: immortal objects, free memory, the warm-up before the fork.

use crate::driver::{Host, Setup, get};
use crate::harness::TempDir;
use config::Kind;

/// Reports of objects that were there before the fork, and of some behind them.
const LASTING: &str = "
import gc, sys, weakref
IMMORTAL = 0xFFFFFFFF
class Plain:
    def __init__(self, value=None):
        self.value = value
class Finalized:
    def __del__(self):
        died.append('finalized')
died = []
def function():
    return 'a constant of a function', ('and', 'a', 'tuple')
table = {'key': ['a list in a dictionary', Plain()]}
file = open(__file__)
holder = Plain([file])
chain = [[Finalized()]]
watched = Plain()
watcher = weakref.ref(watched, lambda ref: died.append('watched'))
def generator():
    yield 1
paused = generator()
held_by_generator = [paused]
def immortal(value):
    # One reference more is counted while it is asked for.
    return sys.getrefcount(value) >= IMMORTAL - 8
def app(environ, start_response):
    global chain, watched, table, holder
    if environ['PATH_INFO'] == '/drop':
        del holder.value[:]
        chain = watched = None
        gc.unfreeze()
        gc.collect()
        if table:
            table['key'].append(Plain())
            table['key'] += ['text'] * 1000
            table.clear()
        gc.collect()
        start_response('200 OK', [])
        return [','.join(sorted(died)).encode()]
    found = {
        'function': immortal(function), 'code': immortal(function.__code__), 'constant': immortal(function()[1]),
        'table': immortal(table), 'list': immortal(table['key']), 'plain': immortal(table['key'][1]), 'class': immortal(Plain),
        'module': immortal(sys.modules[__name__]),
        'file': immortal(file), 'holder': immortal(holder), 'chain': immortal(chain), 'finalized': immortal(chain[0][0]) if chain else False,
        'watched': immortal(watched) if watched else False, 'generator': immortal(held_by_generator),
    }
    start_response('200 OK', [])
    return [','.join(name for name in found if found[name]).encode()]
";

fn versions_with_immortal_objects() -> bool {
    [12, 13].contains(&crate::harness::python::minor_version())
}

/// What lasts without our doing: free-threaded builds do not count the references to these until the collector looks.
fn lasting_anyway() -> &'static str {
    match crate::harness::python::is_free_threaded() {
        true => "function,code,class,module",
        false => "",
    }
}

#[test]
fn what_was_imported_is_immortal_where_that_cannot_be_noticed() {
    let (setup, _dir) = Setup::source(LASTING, Kind::Processes, 1);
    let mut host = setup.ready();
    let expected = match versions_with_immortal_objects() {
        true => "function,code,constant,table,list,plain,class,module",
        false => lasting_anyway(),
    };
    assert_eq!(host.call(&get("/")).text(), expected);
    // Finalizers and weak references work as ever, and the collector may look at everything.
    for _ in 0..2 {
        assert_eq!(host.call(&get("/drop")).text(), "finalized,watched");
    }
    assert_eq!(host.log(), "");
}

#[test]
fn nothing_is_immortal_if_so_wanted() {
    let (mut setup, _dir) = Setup::source(LASTING, Kind::Processes, 1);
    setup.spec.options.immortal = false;
    let mut host = setup.ready();
    assert_eq!(host.call(&get("/")).text(), lasting_anyway());
    assert_eq!(host.call(&get("/drop")).text(), "finalized,watched");
}

/// Leaves holes among what it keeps, of sizes that are Python's allocator's to give and of such that are the C library's; says how many new objects of a
/// worker lie in them.
const HOLES: &str = "
import os
SIZES = 100, 400, 2000, 20000
def several():
    return [[os.urandom(size) for _ in range(200)] for size in SIZES]
objects = several()
holes = set()
for row in objects:
    holes.update(map(id, row[1::2]))
    del row[1::2]
def app(environ, start_response):
    found = [sum(id(object) in holes for object in row) for row in several()]
    start_response('200 OK', [])
    return [repr(found).encode()]
";

#[test]
fn new_objects_of_workers_lie_in_no_holes_among_what_is_shared() {
    let (setup, _dir) = Setup::source(HOLES, Kind::Processes, 2);
    let mut host = setup.ready();
    assert_eq!(host.call(&get("/")).text(), "[0, 0, 0, 0]");
}

/// Says which processes made its warm-up requests; leaves a file open after them, if told to.
const WARM: &str = "
import os
from pathlib import Path
here = Path(__file__).parent
pids = []
def app(environ, start_response):
    if 'ringgate.warmup' in environ:
        if os.getpid() not in pids:
            pids.append(os.getpid())
        if (here / 'leave').exists():
            pids.append(open(__file__))
        if (here / 'fail').exists():
            raise ValueError('not yet')
    start_response('200 OK', [])
    return [','.join(str(pid) for pid in pids if isinstance(pid, int)).encode()]
";

fn warm(file: Option<&str>) -> (Host, TempDir) {
    let (mut setup, dir) = Setup::source(WARM, Kind::Processes, 1);
    setup.spec.options.warmup = vec!["/".to_owned()];
    setup.spec.options.warmup_before_fork = true;
    if let Some(file) = file {
        std::fs::write(dir.path().join(file), "").expect("a file can be written");
    }
    (setup.ready(), dir)
}

#[test]
fn a_warm_up_before_the_fork_is_shared() {
    let (mut host, _dir) = warm(None);
    let answer = host.call(&get("/"));
    let pids: Vec<&str> = answer.text().split(',').collect();
    // And once more in the worker.
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert_eq!(pids[0], host.child.id().to_string());
    assert_eq!(host.log(), "");
}

#[test]
fn a_warm_up_that_leaves_something_open_is_not_shared() {
    for (file, reason) in [
        ("leave", "they leave open: descriptor"),
        ("fail", "not yet"),
    ] {
        let (mut host, _dir) = warm(Some(file));
        let answer = host.call(&get("/"));
        assert_ne!(answer.text(), host.child.id().to_string(), "{file}");
        assert!(!answer.text().contains(','), "{file}");
        host.logged("the warm-up requests are made in each worker only, not before the fork:");
        host.logged(reason);
    }
}

/// Says what a worker compiled and imported by itself.
const LATE: &str = "
import os, sys
zygote = os.getpid()
late = []
def note(event, args):
    if event in ('compile', 'import') and os.getpid() != zygote:
        late.append(f'{event} {args[0]!r}')
sys.addaudithook(note)
def app(environ, start_response):
    start_response('200 OK', [])
    return [', '.join(late).encode()]
";

#[test]
fn our_own_code_is_loaded_before_the_fork() {
    for warmup in [&[][..], &["/".to_owned()]] {
        let (mut setup, _dir) = Setup::source(LATE, Kind::Processes, 1);
        setup.spec.options.warmup = warmup.to_vec();
        let mut host = setup.ready();
        assert_eq!(host.call(&get("/")).text(), "", "{warmup:?}");
    }
}
